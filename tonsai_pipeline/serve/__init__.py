"""Talking to a model: in the terminal, and over HTTP on this machine alone.

prompt.py    what a person wrote -> ids with one BOS; old turns are dropped where the context is full
reply.py     ids -> text in whole letters, as it is written
terminal.py  `tonsai chat`
request.py   JSON in OpenAI's form -> what is asked, or which field is refused
app.py       `tonsai serve`: OpenAI's endpoints and a page for the browser
"""
