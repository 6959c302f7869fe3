"""One process of a job: which device, which precision, in which group, how quiet.

    torchrun's environment ──join_group──▶ device      (NCCL between GPUs, gloo between CPUs)

Started without torchrun, a process is a group of its own.
"""

from __future__ import annotations

import logging
import os
import warnings

import torch
import torch.distributed as dist

from tonsai_pipeline.model.held_out import computes_bf16
from tonsai_pipeline.recipe.deepspeed_file import wants_fp16
from tonsai_pipeline.recipe.train import TrainConfig
from tonsai_pipeline.train.launch.rendezvous import free_port


def join_group(*, use_deepspeed: bool) -> torch.device:
    """Join the other processes of the job and return this one's device.

    Args:
        use_deepspeed: Whether DeepSpeed's own setup is done too; without it a single process needs no group.
    """
    on_gpu = torch.cuda.is_available()
    device = (
        torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        if on_gpu
        else torch.device("cpu")
    )
    if on_gpu:
        torch.cuda.set_device(device)
    if use_deepspeed:
        # Started without torchrun, the process is a group of its own.
        alone = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1"}
        for name, value in alone.items():
            os.environ.setdefault(name, value)
        os.environ.setdefault("MASTER_PORT", str(free_port()))
        _init_deepspeed(on_gpu=on_gpu)
    return device


def leave_group() -> None:
    """Leave, so that no process waits for this one."""
    if dist.is_initialized():
        dist.destroy_process_group()


def choose_dtype(section: TrainConfig, device: torch.device) -> torch.dtype:
    """Return the type in which a run computes."""
    if section.precision != "auto":
        return {"bf16": torch.bfloat16, "fp16": torch.float16}.get(section.precision, torch.float32)
    if device.type == "cuda" and wants_fp16(section.deepspeed_config):
        return torch.float16
    return torch.bfloat16 if computes_bf16(device) else torch.float32


def be_deterministic() -> None:
    """Use deterministic kernels only; call before the first kernel."""
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False


def be_quiet() -> None:
    """Keep libraries' chatter out of the log; warnings of our own and errors stay."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if not torch.cuda.is_available():
        # DeepSpeed, which other libraries load too, looks for a GPU and warns that there is none, unless it is told.
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    for name in ("DeepSpeed", "deepspeed", "transformers", "torch.distributed"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=UserWarning, module=r"(torch|deepspeed)\..*")
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()


def _init_deepspeed(*, on_gpu: bool) -> None:
    import deepspeed

    if not on_gpu:
        # DeepSpeed would compile a shared-memory reduction on the user's machine; gloo needs no compiler, and
        # a killed process cannot leave its peers spinning on shared flags.
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    deepspeed.init_distributed(dist_backend="nccl" if on_gpu else "gloo", auto_mpi_discovery=False)
