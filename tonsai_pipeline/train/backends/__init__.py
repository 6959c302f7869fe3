"""What computes a step: DeepSpeed on any number of processes, or plain torch in one."""
