"""How a conversation is written as text: ChatML, with the reply marked for training.

<|bos|><|im_start|>user
សួស្តី<|im_end|>
<|im_start|>assistant
...<|im_end|>
"""

from __future__ import annotations

#: Jinja, as `apply_chat_template` reads it. `generation` marks the tokens that instruction tuning learns.
CHAT_TEMPLATE = """\
{{- bos_token }}
{%- for message in messages %}
    {{- '<|im_start|>' + message['role'] + '\\n' }}
    {%- if message['role'] == 'assistant' %}
        {%- generation %}
        {{- message['content'] + '<|im_end|>' }}
        {%- endgeneration %}
    {%- else %}
        {{- message['content'] + '<|im_end|>' }}
    {%- endif %}
    {{- '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""
