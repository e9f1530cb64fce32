"""Small chat templates with the constructs of the families that GGUF files bring, and ones that lose something."""

from __future__ import annotations

ALTERNATE = (
    "{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
)
"""What Llama 2, Mistral and Gemma insist on."""

FAMILIES = {
    "chatml: plain loop, string concatenation": (
        "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    ),
    "llama 2: system inside of the first user turn, slices, strip, `in`": (
        "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}"
        "{% set system_message = messages[0]['content'] %}{% elif not '<<SYS>>' in messages[0]['content'] %}"
        "{% set loop_messages = messages %}{% set system_message = 'Be helpful.' %}{% else %}"
        "{% set loop_messages = messages %}{% set system_message = false %}{% endif %}"
        "{% for m in loop_messages %}" + ALTERNATE + "{% if loop.index0 == 0 and system_message != false %}"
        "{% set content = '<<SYS>>\n' + system_message + '\n<</SYS>>\n\n' + m['content'] %}{% else %}"
        "{% set content = m['content'] %}{% endif %}{% if m['role'] == 'user' %}"
        "{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif m['role'] == 'assistant' %}"
        "{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
    ),
    "llama 3: set in a loop, trim": (
        "{% set loop_messages = messages %}{% for m in loop_messages %}"
        "{% set content = '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' + "
        "m['content'] | trim + '<|eot_id|>' %}"
        "{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}"
    ),
    "llama 3.1: date, tools in the user's turn, one call at once, tool results as JSON": (
        "{{- bos_token }}{%- if not tools_in_user_message is defined %}{%- set tools_in_user_message = true %}"
        "{%- endif %}{%- if not date_string is defined %}{%- if strftime_now is defined %}"
        "{%- set date_string = strftime_now('%d %b %Y') %}{%- else %}{%- set date_string = '26 Jul 2024' %}"
        "{%- endif %}"
        "{%- endif %}{%- if not tools is defined %}{%- set tools = none %}{%- endif %}"
        "{%- if messages[0]['role'] == 'system' %}{%- set system_message = messages[0]['content']|trim %}"
        "{%- set messages = messages[1:] %}{%- else %}{%- set system_message = '' %}{%- endif %}"
        "{{- 'Today Date: ' + date_string + '\n\n' + system_message }}"
        "{%- if tools_in_user_message and not tools is none %}{%- if messages | length != 0 %}"
        "{%- set first_user_message = messages[0]['content']|trim %}{%- set messages = messages[1:] %}{%- else %}"
        "{{- raise_exception('Cannot put tools in the first user message when there is no first user message!') }}"
        "{%- endif %}{%- for t in tools %}{{- t | tojson(indent=4) }}{%- endfor %}{{- first_user_message }}"
        "{%- endif %}"
        "{%- for message in messages %}"
        "{%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}"
        "{{- message['role'] + message['content'] | trim }}{%- elif 'tool_calls' in message %}"
        "{%- if not message.tool_calls|length == 1 %}"
        "{{- raise_exception('This model only supports single tool-calls at once!') }}{%- endif %}"
        "{%- set tool_call = message.tool_calls[0].function %}"
        "{{- '{\"name\": \"' + tool_call.name + '\", \"parameters\": ' }}{{- tool_call.arguments | tojson }}{{- '}' }}"
        "{%- elif message.role == 'tool' or message.role == 'ipython' %}"
        "{%- if message.content is mapping or message.content is iterable %}{{- message.content | tojson }}"
        "{%- else %}{{- message.content }}{%- endif %}{%- endif %}{%- endfor %}"
    ),
    "mistral v1: alternation, refuses other roles": (
        "{{ bos_token }}{% for m in messages %}" + ALTERNATE + "{% if m['role'] == 'user' %}"
        "{{ '[INST] ' + m['content'] + ' [/INST]' }}{% elif m['role'] == 'assistant' %}{{ m['content'] + eos_token }}"
        "{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}"
    ),
    "mistral v3: selectattr, ids of nine letters, system with the last question, namespace": (
        "{%- if messages[0]['role'] == 'system' %}{%- set system_message = messages[0]['content'] %}"
        "{%- set loop_messages = messages[1:] %}{%- else %}{%- set loop_messages = messages %}{%- endif %}"
        "{%- set user_messages = loop_messages | selectattr('role', 'equalto', 'user') | list %}"
        "{%- set ns = namespace() %}{%- set ns.index = 0 %}{%- for message in loop_messages %}"
        "{%- if not (message.role == 'tool' or message.role == 'tool_results' or (message.tool_calls is defined"
        " and message.tool_calls is not none)) %}{%- if (message['role'] == 'user') != (ns.index % 2 == 0) %}"
        "{{- raise_exception('After the optional system message, conversation roles must alternate') }}{%- endif %}"
        "{%- set ns.index = ns.index + 1 %}{%- endif %}{%- endfor %}{{- bos_token }}"
        "{%- for message in loop_messages %}{%- if message['role'] == 'user' %}"
        "{%- if tools is not none and (message == user_messages[-1]) %}{{- '[AVAILABLE_TOOLS] [' }}"
        '{%- for tool in tools %}{%- set tool = tool.function %}{{- \'{"type": "function", "function": {\' }}'
        "{%- for key, val in tool.items() if key != 'return' %}{%- if val is string %}"
        "{{- '\"' + key + '\": \"' + val + '\"' }}{%- else %}{{- '\"' + key + '\": ' + val|tojson }}{%- endif %}"
        "{%- if not loop.last %}{{- ', ' }}{%- endif %}{%- endfor %}{{- '}}' }}{%- endfor %}{{- ']' }}{%- endif %}"
        "{%- if loop.last and system_message is defined %}{{- '[INST] ' + system_message + '\n\n' + "
        "message['content'] }}"
        "{%- else %}{{- '[INST] ' + message['content'] + '[/INST]' }}{%- endif %}"
        "{%- elif message.tool_calls is defined and message.tool_calls is not none %}{{- '[TOOL_CALLS] [' }}"
        "{%- for tool_call in message.tool_calls %}{%- set out = tool_call.function|tojson %}{{- out[:-1] }}"
        "{%- if not tool_call.id is defined or tool_call.id|length != 9 %}"
        "{{- raise_exception('Tool call IDs should be alphanumeric strings with length 9!') }}{%- endif %}"
        "{{- ', \"id\": \"' + tool_call.id + '\"}' }}{%- endfor %}{{- ']' + eos_token }}"
        "{%- elif message['role'] == 'assistant' %}{{- ' ' + message['content']|trim + eos_token}}"
        "{%- elif message['role'] == 'tool_results' or message['role'] == 'tool' %}"
        "{%- if message.content is defined and message.content.content is defined %}"
        "{%- set content = message.content.content %}{%- else %}{%- set content = message.content %}{%- endif %}"
        "{{- '[TOOL_RESULTS] {\"content\": ' + content|string + ', ' }}"
        "{%- if not message.tool_call_id is defined or message.tool_call_id|length != 9 %}"
        "{{- raise_exception('Tool call IDs should be alphanumeric strings with length 9!') }}{%- endif %}"
        "{{- '\"call_id\": \"' + message.tool_call_id + '\"}' }}{%- else %}"
        "{{- raise_exception('Only user and assistant roles are supported') }}{%- endif %}{%- endfor %}"
    ),
    "mistral small: default system text, content of strings or parts": (
        "{%- set today = strftime_now('%Y-%m-%d') %}{%- set default = 'You are a model. Today is ' + today %}"
        "{%- if messages[0]['role'] == 'system' %}{%- if messages[0]['content'] is string %}"
        "{%- set system_message = messages[0]['content'] %}{%- else %}"
        "{%- set system_message = messages[0]['content'][0]['text'] %}{%- endif %}{%- set rest = messages[1:] %}"
        "{%- else %}{%- set system_message = default %}{%- set rest = messages %}{%- endif %}"
        "{{- '[SYSTEM_PROMPT]' + system_message + '[/SYSTEM_PROMPT]' }}{%- for m in rest %}"
        "{%- if m['role'] == 'user' %}{%- if m['content'] is string %}{{- '[INST]' + m['content'] + '[/INST]' }}"
        "{%- else %}{%- for block in m['content'] %}{{- block['text'] }}{%- endfor %}{%- endif %}"
        "{%- elif m['role'] == 'system' %}{{- '[SYSTEM_PROMPT]' + m['content'] + '[/SYSTEM_PROMPT]' }}"
        "{%- elif m['role'] == 'assistant' %}{{- m['content'] + eos_token }}{%- else %}"
        "{{- raise_exception('Only user, system and assistant roles are supported!') }}{%- endif %}{%- endfor %}"
    ),
    "gemma 2: refuses the system role, renames the assistant": (
        "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}"
        "{% endif %}{% for m in messages %}" + ALTERNATE + "{% if (m['role'] == 'assistant') %}{% set role = 'model' %}"
        "{% else %}{% set role = m['role'] %}{% endif %}"
        "{{ '<start_of_turn>' + role + '\n' + m['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
    ),
    "gemma 3: system text as a part, users' as a string or parts": (
        "{{ bos_token }}{%- if messages[0]['role'] == 'system' -%}"
        "{%- set first_user_prefix = messages[0]['content'][0]['text'] + '\n\n' -%}{%- set rest = messages[1:] -%}"
        "{%- else -%}{%- set first_user_prefix = '' -%}{%- set rest = messages -%}{%- endif -%}"
        "{%- for m in rest -%}" + ALTERNATE + "{{ m['role'] + (first_user_prefix if loop.first else '') }}"
        "{%- if m['content'] is string -%}{{ m['content'] | trim }}{%- elif m['content'] is iterable -%}"
        "{%- for item in m['content'] -%}{%- if item['type'] == 'image' -%}{{ '<start_of_image>' }}"
        "{%- elif item['type'] == 'text' -%}{{ item['text'] | trim }}{%- endif -%}{%- endfor -%}{%- else -%}"
        "{{ raise_exception('Invalid content type') }}{%- endif -%}{%- endfor -%}"
    ),
    "smolvlm: parts only": (
        "{% for m in messages %}{{ m['role'] | capitalize }}{% if m['content'][0]['type'] == 'image' %}{{ ':' }}"
        "{% else %}{{ ': ' }}{% endif %}{% for line in m['content'] %}{% if line['type'] == 'text' %}"
        "{{ line['text'] }}"
        "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}"
    ),
    "phi 3: elif by role, no tool role": (
        "{% for m in messages %}{% if m['role'] == 'system' %}{{ '<|system|>\n' + m['content'] + '<|end|>\n' }}"
        "{% elif m['role'] == 'user' %}{{ '<|user|>\n' + m['content'] + '<|end|>\n' }}"
        "{% elif m['role'] == 'assistant' %}"
        "{{ '<|assistant|>\n' + m['content'] + '<|end|>\n' }}{% endif %}{% endfor %}"
    ),
    "phi 4 mini: tools beside the system message": (
        "{% for m in messages %}{% if m['role'] == 'system' and 'tools' in m and m['tools'] is not none %}"
        "{{ '<|system|>' + m['content'] + '<|tool|>' + m['tools'] + '<|/tool|><|end|>' }}{% else %}"
        "{{ '<|' + m['role'] + '|>' + m['content'] + '<|end|>' }}{% endif %}{% endfor %}"
    ),
    "qwen 2.5: tools in the system turn, results joined in a user's": (
        "{%- if tools %}{{- '<|im_start|>system\n' }}{%- if messages[0]['role'] == 'system' %}"
        "{{- messages[0]['content'] }}{%- else %}{{- 'You are Qwen.' }}{%- endif %}{{- '\n\n# Tools\n<tools>' }}"
        "{%- for tool in tools %}{{- '\n' }}{{- tool | tojson }}{%- endfor %}{{- '\n</tools><|im_end|>\n' }}"
        "{%- elif messages[0]['role'] == 'system' %}{{- '<|im_start|>system\n' + messages[0]['content'] }}{%- endif %}"
        "{%- for message in messages %}"
        "{%- if (message.role == 'user') or (message.role == 'system' and not loop.first)"
        " or (message.role == 'assistant' and not message.tool_calls) %}"
        "{{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}"
        "{%- elif message.role == 'assistant' %}{{- '<|im_start|>' + message.role }}{%- if message.content %}"
        "{{- '\n' + message.content }}{%- endif %}{%- for tool_call in message.tool_calls %}"
        "{%- if tool_call.function is defined %}{%- set tool_call = tool_call.function %}{%- endif %}"
        '{{- \'\n<tool_call>\n{"name": "\' }}{{- tool_call.name }}{{- \'", "arguments": \' }}'
        "{{- tool_call.arguments | tojson }}{{- '}\n</tool_call>' }}{%- endfor %}"
        "{%- elif message.role == 'tool' %}{%- if (loop.index0 == 0) or (messages[loop.index0 - 1].role != 'tool') %}"
        "{{- '<|im_start|>user' }}{%- endif %}{{- '\n<tool_response>\n' }}{{- message.content }}"
        "{{- '\n</tool_response>' }}{%- if loop.last or (messages[loop.index0 + 1].role != 'tool') %}"
        "{{- '<|im_end|>\n' }}{%- endif %}{%- endif %}{%- endfor %}"
    ),
    "qwen 3: reversed loop, namespace, reasoning cut out by split": (
        "{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}"
        "{%- for message in messages[::-1] %}{%- set index = (messages|length - 1) - loop.index0 %}"
        "{%- if ns.multi_step_tool and message.role == 'user' and message.content is string and"
        " not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}"
        "{%- set ns.multi_step_tool = false %}{%- set ns.last_query_index = index %}{%- endif %}{%- endfor %}"
        "{%- if tools %}{%- for tool in tools %}{{- tool | tojson }}{%- endfor %}{%- endif %}"
        "{%- for message in messages %}{%- set content = message.content if message.content is string else '' %}"
        "{%- if message.role in ('user', 'system') %}{{- '<|im_start|>' + message.role + '\n' + content }}"
        "{%- elif message.role == 'assistant' %}{%- set reasoning_content = '' %}"
        "{%- if message.reasoning_content is string %}{%- set reasoning_content = message.reasoning_content %}"
        "{%- elif '</think>' in content %}"
        "{%- set reasoning_content = content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}"
        "{%- set content = content.split('</think>')[-1].lstrip('\n') %}{%- endif %}"
        "{%- if loop.index0 > ns.last_query_index and reasoning_content %}"
        "{{- '<think>' + reasoning_content.strip('\n') + '</think>' + content.lstrip('\n') }}{%- else %}"
        "{{- content }}{%- endif %}{%- if message.tool_calls %}{%- for tool_call in message.tool_calls %}"
        "{{- '<tool_call>' + tool_call.function.name }}{%- if tool_call.function.arguments is string %}"
        "{{- tool_call.function.arguments }}{%- else %}{{- tool_call.function.arguments | tojson }}{%- endif %}"
        "{%- endfor %}{%- endif %}{%- elif message.role == 'tool' %}{{- '<tool_response>' + content }}{%- endif %}"
        "{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}"
        "{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\n\n</think>' }}{%- endif %}"
        "{%- endif %}"
    ),
    "deepseek v3: calls only without content, arguments as text": (
        "{% set ns = namespace(is_first=false, is_tool=false, is_output_first=true, system_prompt='') %}"
        "{%- for m in messages %}{%- if m['role'] == 'system' %}{% set ns.system_prompt = ns.system_prompt + "
        "m['content'] %}"
        "{%- endif %}{%- endfor %}{{bos_token}}{{ns.system_prompt}}{% for t in tools or [] %}{{ t | tojson }}"
        "{% endfor %}"
        "{%- for m in messages %}{%- if m['role'] == 'user' %}{%- set ns.is_tool = false -%}{{'<|User|>' + "
        "m['content']}}"
        "{%- endif %}{%- if m['role'] == 'assistant' and m['content'] is none %}{%- for tool in m['tool_calls']%}"
        "{{'<|call|>' + tool['type'] + '<|sep|>' + tool['function']['name'] + '\n```json\n' + "
        "tool['function']['arguments']"
        " + '\n```'}}{%- endfor %}{%- endif %}{%- if m['role'] == 'assistant' and m['content'] is not none %}"
        "{{'<|Assistant|>' + m['content'] + eos_token}}{%- endif %}{%- if m['role'] == 'tool' %}"
        "{{'<|output|>' + m['content'] + '<|/output|>'}}{%- endif %}{%- endfor -%}"
    ),
    "deepseek r1: split at the end of thinking": (
        "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'assistant' %}{% set content = m['content'] %}"
        "{% if '</think>' in content %}{% set content = content.split('</think>')[-1] %}{% endif %}"
        "{{ '<|Assistant|>' + content + eos_token }}{% elif m['role'] == 'user' %}{{ '<|User|>' + m['content'] }}"
        "{% elif m['role'] == 'system' %}{{ m['content'] }}{% endif %}{% endfor %}"
    ),
    "command r: macros, documents, lower": (
        "{%- macro document_turn(documents) -%}{% for doc in documents %}{{ doc|tojson }}{% endfor %}{%- endmacro %}"
        "{%- macro id_to_int(messages, id) %}{%- set counter = namespace(value=0) %}{%- for msg in messages %}"
        "{%- if msg.tool_calls %}{%- for call in msg.tool_calls %}{%- if call.id == id %}{{ counter.value }}"
        "{%- endif %}"
        "{%- set counter.value = counter.value + 1 %}{%- endfor %}{%- endif %}{%- endfor %}{%- endmacro %}"
        "{%- if messages and messages[0]['role']|lower == 'system' %}{{ messages[0]['content'] }}{% endif %}"
        "{% for tool in tools or [] %}{{ tool | tojson(indent=2) }}{% endfor %}{% for message in messages %}"
        "{% if message.role|lower == 'user' %}{{ '<|USER_TOKEN|>' + message.content }}"
        "{% elif message.role|lower in ['assistant', 'chatbot'] %}{% if message.tool_calls %}"
        '{% for tc in message.tool_calls %}{"tool_call_id": "{{ loop.index0 }}", "tool_name": "{{ tc.function.name }}",'
        ' "parameters": {{ tc.function.arguments|tojson }}}{% if not loop.last %},{% endif %}{% endfor %}'
        "{% else %}{{ message.content }}{% endif %}{% elif message.role|lower == 'tool' %}"
        '{"tool_call_id": "{{ id_to_int(messages, message.tool_call_id) }}", "results": {{ message.content|tojson }}}'
        "{% endif %}{% endfor %}{% if documents %}{{ document_turn(documents) }}{% endif %}"
    ),
    "granite: tools by tojson(indent), default text": (
        "{%- if tools %}{{- '<|start_of_role|>available_tools<|end_of_role|>' }}{%- for tool in tools %}"
        "{{- tool | tojson(indent=4) }}{%- if not loop.last %}{{- '\n\n' }}{%- endif %}{%- endfor %}{%- endif %}"
        "{%- for m in messages %}{%- if m['role'] == 'assistant_tool_call' or (m['role'] == 'assistant' and"
        " m.tool_calls is defined and m.tool_calls) %}{{- '<|start_of_role|>assistant<|end_of_role|>' + "
        "m['content'] }}"
        "{%- for tc in m.tool_calls %}{{- '<|tool_call|>' + {'name': tc.function.name, "
        "'arguments': tc.function.arguments}|tojson }}"
        "{%- endfor %}{%- else %}{{- '<|start_of_role|>' + m['role'] + '<|end_of_role|>' + m['content'] }}{%- endif %}"
        "{%- endfor %}"
    ),
    "falcon: capitals, replace": (
        "{% for m in messages %}{% if not loop.first %}{{ '\n' }}{% endif %}{% if m['role'] == 'system' %}"
        "{{ 'System: ' + m['content'].replace('\r\n', '\n') }}{% elif m['role'] == 'user' %}{{ 'User: ' + "
        "m['content'] }}"
        "{% elif m['role'] == 'assistant' %}{{ 'Falcon: ' + m['content'] }}{% endif %}{% endfor %}{{ '\nFalcon:' }}"
    ),
    "zephyr: trim blocks, line ends between tags": (
        "{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\n' + message['content'] }}\n"
        "    {% elif message['role'] == 'system' %}\n{{ '<|system|>\n' + message['content'] + eos_token }}\n"
        "{% elif message['role'] == 'assistant' %}\n{{ '<|assistant|>\n'  + message['content'] + eos_token }}"
        "\n{% endif %}\n"
        "{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}"
    ),
    "vicuna: system before everything, else refused": (
        "{% if messages[0]['role'] == 'system' %}{% set rest = messages[1:] %}{{ messages[0]['content'].strip() }}"
        "{% else %}{% set rest = messages %}{% endif %}{% for m in rest %}" + ALTERNATE + "{% if m['role'] == 'user' %}"
        "{{ 'USER: ' + m['content'].strip() + '\n' }}{% elif m['role'] == 'assistant' %}"
        "{{ 'ASSISTANT: ' + m['content'].strip() + eos_token }}{% endif %}{% endfor %}{{ 'ASSISTANT:' }}"
    ),
    "alpaca: the system text and the last instruction alone": (
        "{% if messages[0]['role'] == 'system' %}{{ messages[0]['content'] }}{% endif %}"
        "### Instruction:\n{{ messages[-1]['content'] }}\n\n### Response:\n"
    ),
    "olmo: break and continue": (
        "{{ bos_token }}{% for m in messages %}{% if m['content'] == '' and not m.tool_calls %}{% continue %}"
        "{% endif %}"
        "{% if loop.index0 > 500 %}{% break %}{% endif %}{{ '<|' + m['role'] + '|>\n' + m['content'] + "
        "'\n' }}{% endfor %}"
    ),
    "hermes: a recursive macro for types, tools joined": (
        "{%- macro json_to_python_type(json_spec) %}{%- set map = {'string': 'str', 'number': 'float', "
        "'integer': 'int'} %}"
        "{%- if map[json_spec.type] is defined %}{{- map[json_spec.type] }}{%- elif json_spec.type == 'array' %}"
        "{{- 'list[' + json_to_python_type(json_spec|items) + ']' }}{%- elif json_spec.type is iterable %}"
        "{{- 'Union' }}{%- else %}{{- 'Any' }}{%- endif %}{%- endmacro %}"
        "{% for m in messages %}{% if m.role == 'system' %}{{ m.content }}{% break %}{% endif %}{% endfor %}"
        "{%- for tool in tools or [] %}{%- set tool = tool.function %}{{ tool.name + '(' }}"
        "{%- for name, fields in tool.parameters.properties.items() %}{{- name + ': ' + json_to_python_type(fields) }}"
        "{%- if not loop.last %}{{- ', ' }}{%- endif %}{%- endfor %}{{- ') - ' + tool.description }}"
        "{{ tool.parameters | tojson }}{% endfor %}{%- for m in messages %}{%- if m.role != 'system' %}"
        "{{ m.role + m.content }}{%- for c in m.tool_calls or [] %}<tool_call>{{ c.function | tojson }}{% endfor %}"
        "{%- endif %}{%- endfor %}"
    ),
    "smollm 3: generation tag around what is trained on": (
        "{% for m in messages %}{% if m.role == 'assistant' %}{{ '<|im_start|>assistant\n' }}{% generation %}"
        "{{ m.content + '<|im_end|>' }}{% endgeneration %}{% else %}"
        "{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endif %}{% endfor %}"
    ),
    "gpt-oss harmony: macros with defaults, the developer's role, names of tools from the last call": (
        "{%- macro render_typescript_type(spec, required=[], is_nullable=false) -%}"
        "{%- if spec.type == 'string' %}string{%- elif spec.type == 'object' %}object{%- else %}any{%- endif %}"
        "{%- endmacro -%}{%- set model_identity = model_identity | default('You are a model.') %}{{- model_identity }}"
        "{{- strftime_now('%Y-%m-%d') }}{%- if messages[0].role == 'developer' or messages[0].role == 'system' %}"
        "{%- set developer_message = messages[0].content %}{%- set loop_messages = messages[1:] %}{%- else %}"
        "{%- set developer_message = '' %}{%- set loop_messages = messages %}{%- endif %}{{- developer_message }}"
        "{%- if tools %}{{- 'namespace functions {' }}{%- for tool in tools %}{%- set tool = tool.function %}"
        "{{- '// ' + tool.description + '\ntype ' + tool.name + ' = (_: {' }}"
        "{%- for param_name, param_spec in tool.parameters.properties.items() %}{{- '// ' ~ param_spec.description }}"
        "{{- '\n' + param_name + ': ' }}{{- render_typescript_type(param_spec, required_params or []) }}"
        "{%- endfor %}{{- '}) => any' }}{%- endfor %}{%- endif %}{%- set last_tool_call = namespace(name=none) %}"
        "{%- for message in loop_messages -%}{%- if message.role == 'assistant' -%}{%- if 'tool_calls' in message %}"
        "{%- if '<|channel|>final<|message|>' in message.content %}{{- raise_exception('no tags in messages') }}"
        "{%- endif %}{%- set tool_call = message.tool_calls[0] %}{%- if tool_call.function %}"
        "{%- set tool_call = tool_call.function %}{%- endif %}{{- 'to=functions.' + tool_call.name + ' json' }}"
        "{{- tool_call.arguments|tojson }}{%- set last_tool_call.name = tool_call.name %}{%- else %}"
        "{{- '<|channel|>final<|message|>' + message.content }}{%- set last_tool_call.name = none %}{%- endif %}"
        "{%- elif message.role == 'tool' -%}{%- if last_tool_call.name is none %}"
        "{{- raise_exception('Message has tool role, "
        "but there was no previous assistant message with a tool call!') }}"
        "{%- endif %}{{- 'functions.' + last_tool_call.name }}{{- message.content|tojson }}"
        "{%- elif message.role == 'user' -%}{{- message.content }}{%- endif -%}{%- endfor -%}"
    ),
    "yi: filters in conditions": (
        "{% for m in messages if m.role in ['system', 'user', 'assistant'] %}{{ m.role ~ ': ' ~ (m.content | trim) }}"
        "{{ '\n' if not loop.last else '' }}{% endfor %}"
    ),
    "minicpm: chinese punctuation in an inline if": (
        "{% for m in messages %}{{ '<用户>' + m['content'].strip() + "
        "'<AI>' if m['role'] == 'user' else m['content'].strip() }}"
        "{% endfor %}"
    ),
    "internlm: format filter": (
        "{% for m in messages %}{{ '<|im_start|>%s\n%s<|im_end|>\n' | format(m.role, m.content) }}{% endfor %}"
    ),
    "jamba: system and tools in front, do, dictsort": (
        "{% set extras = {'a': 1} %}{% do extras.keys() %}{% for k, v in extras | dictsort %}{{ k }}{% endfor %}"
        "{% if messages[0].role == 'system' %}<|system|>{{ messages[0].content }}{% endif %}"
        "{% if tools is defined and tools is sequence %}{% for tool in tools %}"
        "{{ tool | tojson(sort_keys=true) }}{% endfor %}"
        "{% endif %}{% for m in messages %}{% if m.role == 'system' and loop.first %}{% continue %}{% endif %}"
        "<|{{ m.role }}|>{{ m.content if m.content is not none }}{% if m.tool_calls is defined %}<tool_calls>"
        "{% for c in m.tool_calls %}{{ c.function | tojson(separators=(',', ':')) }}{% endfor %}{% endif %}"
        "{% endfor %}"
    ),
    "exaone: default system turn, upper": (
        "{% for m in messages %}{% if loop.first and m['role'] != 'system' %}"
        "{{ '[|system|][|endofturn|]\n' }}{% endif %}"
        "{{ '[|' + m['role'] + '|]' + m['content'] }}{% if m['role'] == 'user' %}{{ '\n' }}{% else %}"
        "{{ '[|endofturn|]\n' }}"
        "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '[|assistant|]' }}{% endif %}"
    ),
    "functionary: call blocks, tests": (
        "{% macro turn(role) %}<|{{ role }}|>{{ caller() }}<|end|>{% endmacro %}{% for t in tools or [] %}"
        "{{ t | tojson }}"
        "{% endfor %}{% for m in messages %}{% call turn(m.role) %}{% if m.content is string %}"
        "{{ m.content }}{% endif %}"
        "{% for c in m.tool_calls or [] %}{{ c.function.name }}{% for k, v in c.function.arguments.items() %}"
        "{{ k }}={{ v if v is string else v | tojson }}{% endfor %}{% endfor %}{% endcall %}{% endfor %}"
    ),
    "a template that wants its tools as a list, be it empty": (
        "{% for t in tools %}{{ t | tojson }}{% endfor %}{% for m in messages %}{{ m.role }}: {{ m.content }}"
        "\n{% endfor %}"
    ),
}

MERGED = {
    "drops the system text": "{% for m in messages if m.role != 'system' %}{{ m.role ~ m.content }}{% endfor %}",
    "keeps the last message alone": "{{ messages[-1].content }}",
    "keeps what users say alone": "{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}",
    "turns the conversation round": "{% for m in messages | reverse %}{{ m.content }}{% endfor %}",
    "keeps the first system text alone": (
        "{% if messages[0].role == 'system' %}{{ messages[0].content }}{% endif %}"
        "{% for m in messages if m.role != 'system' %}{{ m.role ~ m.content }}{% endfor %}"
    ),
    "keeps one of two results": (
        "{% for t in tools or [] %}{{ t | tojson }}{% endfor %}{% for m in messages %}"
        "{% if not (m.role == 'tool' and loop.previtem.role == 'tool') %}{{ m.role ~ m.content }}"
        "{% for c in m.tool_calls or [] %}{{ c.function | tojson }}{% endfor %}{% endif %}{% endfor %}"
    ),
    "drops calls": (
        "{% for t in tools or [] %}{{ t | tojson }}{% endfor %}{% for m in messages %}"
        "{{ m.role ~ m.content }}{% endfor %}"
    ),
    "prints mappings as Python does": (
        "{% for t in tools or [] %}{{ t | tojson }}{% endfor %}{% for m in messages %}{{ m.role ~ m.content }}"
        "{% for c in m.tool_calls or [] %}{{ c.function.name ~ c.function.arguments }}{% endfor %}{% endfor %}"
    ),
    "names its tools and says nothing of them": (
        "{% for t in tools or [] %}{{ t.function.name }}{% endfor %}{% for m in messages %}"
        "{{ m.role ~ m.content }}{% endfor %}"
    ),
    "lower-cases the system text": (
        "{% for m in messages %}{{ m.content | lower if m.role == 'system' else m.content }}{% endfor %}"
    ),
}
"""What loses or refuses something that can be said in another form."""

LOSING = {
    "says nothing": "Hello.",
    "drops the last message": "{% for m in messages[:-1] %}{{ m.role ~ m.content }}{% endfor %}",
    "reads another key": "{% for m in messages %}{{ m['text'] }}{% endfor %}",
    "lower-cases": "{% for m in messages %}{{ m.content | lower }}{% endfor %}",
    "escapes": "{% for m in messages %}{{ m.content | e }}{% endfor %}",
    "cuts": "{% for m in messages %}{{ m.content | truncate(9) }}{% endfor %}",
    "keeps a line": "{% for m in messages %}{{ m.content.split('\n')[0] }}{% endfor %}",
    "takes text apart": "{% for m in messages %}{{ m.content.split() | join(' ') }}{% endfor %}",
    "prints parts": "{% for m in messages if m.content is not string %}{{ m.content }}{% endfor %}",
    "prints parts as JSON": "{% for m in messages if m.content is not string %}{{ m.content | tojson }}{% endfor %}",
    "counts": "{% for m in messages %}{{ m.content | length }}{% endfor %}",
    "refuses everything": "{{ raise_exception('no') }}",
    "calls what is not there": "{{ now() }}{{ messages[0].content }}",
    "wants variables of its own": "{{ guideline + messages[0].content }}",
    "knows human and gpt": "{% for m in messages %}{% if m.role == 'human' %}{{ m.content }}{% endif %}{% endfor %}",
    "is empty": "",
    "knows only another role": (
        "{% for m in messages %}{% if m['from'] == 'user' %}{{ m.value }}{% endif %}{% endfor %}"
    ),
}
"""What no form of a message helps."""
