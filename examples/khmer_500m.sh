#!/usr/bin/env bash
# The starter kit's model from beginning to end: plan, corpus, pretraining, report, export.
#
#   bash examples/khmer_500m.sh                                          # 8 GPUs, recipe gpt2_500m, text from the Hub
#   RECIPE=demo OUTPUT=/tmp/out PLAN="" bash examples/khmer_500m.sh        # everything small: a laptop, minutes
#
# Every step that is finished costs nothing the second time: after a failure or a disconnect run the same line again.
set -euo pipefail

RECIPE="${RECIPE:-gpt2_500m}"
OUTPUT="${OUTPUT:-khmer_500m}"
PLAN="${PLAN---gpu H100 --gpus 8 --mfu 0.4 --price 2.5}"
TONSAI="${TONSAI:-uv run tonsai}"

mkdir -p "$OUTPUT"
# What it will cost, before it costs anything: parameters, memory, hours, money.
# shellcheck disable=SC2086
$TONSAI plan --recipe "$RECIPE" $PLAN | tee "$OUTPUT/plan.txt"

# Raw dumps to packed rows, pretraining on every GPU of this machine, evaluation.
$TONSAI run --recipe "$RECIPE"
$TONSAI report --recipe "$RECIPE" | tee "$OUTPUT/report.txt"

# One file for llama.cpp, Ollama and LM Studio.
$TONSAI export --recipe "$RECIPE" --format gguf --dtype q8_0 --output "$OUTPUT/model-q8_0.gguf"
