"""What is done, a folder a verb: `stage.py` declares and enters, the other files are named by what they make."""
