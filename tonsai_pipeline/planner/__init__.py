"""What a network needs and costs, before anything is bought: parameters, operations, memory, hours."""
