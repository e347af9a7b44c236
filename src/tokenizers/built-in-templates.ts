/** A chat format that many models share, for a tokenizer that has no template. */
export interface BuiltInTemplate {
  /** Jinja. */
  readonly source: string;
  /** Special tokens that it writes, beside those that the tokenizer names. */
  readonly tokens: readonly string[];
  /** True if `eos_token` ends the assistant's turns. */
  readonly endsWithEos?: true;
  /** True if what the tokenizer puts in front of a text stands in front of a chat too. */
  readonly beginsAsText?: true;
}

/** Puts a message of the system, which the format has no turn for, in front of the first one of the user. */
const FOLDED_SYSTEM =
  "{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] + '\n\n' %}" +
  "{% set turns = messages[1:] %}{% else %}{% set system = '' %}{% set turns = messages %}{% endif %}";

/** Refuses turns that do not alternate. Stands in a loop over `turns`. */
const ALTERNATING =
  "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}" +
  "{{ raise_exception('After the optional system message, user and assistant must alternate') }}{% endif %}";

/** A text before the turns that a message of the system replaces. */
const preamble = (text: string): string =>
  `{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] %}{% set turns = messages[1:] %}` +
  `{% else %}{% set system = '${text}' %}{% set turns = messages %}{% endif %}`;

/** By name. The text of each is that of its public template, for chats of a system, users and assistants. */
export const BUILT_IN_TEMPLATES: Readonly<Record<string, BuiltInTemplate>> = {
  chatml: {
    tokens: ["<|im_start|>", "<|im_end|>"],
    source:
      "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}" +
      "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
  },
  llama3: {
    tokens: ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
    source:
      "{{ bos_token }}{% for message in messages %}{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' " +
      "+ message['content'] | trim + '<|eot_id|>' }}{% endfor %}" +
      "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}",
  },
  gemma: {
    tokens: ["<start_of_turn>", "<end_of_turn>"],
    source:
      `{{ bos_token }}${FOLDED_SYSTEM}{% for message in turns %}${ALTERNATING}` +
      "{% set role = 'model' if message['role'] == 'assistant' else message['role'] %}" +
      "{{ '<start_of_turn>' + role + '\n' + (system if loop.first else '') + message['content'] | trim " +
      "+ '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}",
  },
  mistral: {
    tokens: [],
    endsWithEos: true,
    source:
      `{{ bos_token }}${FOLDED_SYSTEM}{% for message in turns %}${ALTERNATING}` +
      "{% if message['role'] == 'user' %}" +
      "{{ ' [INST] ' + (system if loop.first else '') + message['content'] + ' [/INST]' }}" +
      "{% else %}{{ ' ' + message['content'] + eos_token }}{% endif %}{% endfor %}",
  },
  phi: {
    tokens: ["<|system|>", "<|user|>", "<|assistant|>", "<|end|>"],
    source:
      "{% for message in messages %}{{ '<|' + message['role'] + '|>\n' + message['content'] + '<|end|>\n' }}" +
      "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}",
  },
  zephyr: {
    tokens: [],
    endsWithEos: true,
    source:
      "{% for message in messages %}{{ '<|' + message['role'] + '|>\n' + message['content'] + eos_token + '\n' }}" +
      "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}",
  },
  alpaca: {
    tokens: [],
    endsWithEos: true,
    beginsAsText: true,
    source:
      preamble(
        "Below is an instruction that describes a task. Write a response that appropriately completes the request.",
      ) +
      "{{ system + '\n\n' }}{% for message in turns %}{% if message['role'] == 'user' %}" +
      "{{ '### Instruction:\n' + message['content'] + '\n\n' }}" +
      "{% else %}{{ '### Response:\n' + message['content'] + eos_token + ('' if loop.last else '\n\n') }}{% endif %}" +
      "{% endfor %}{% if add_generation_prompt %}{{ '### Response:\n' }}{% endif %}",
  },
  vicuna: {
    tokens: [],
    endsWithEos: true,
    beginsAsText: true,
    source:
      preamble(
        "A chat between a curious user and an artificial intelligence assistant. " +
          "The assistant gives helpful, detailed, and polite answers to the user\\'s questions.",
      ) +
      "{{ system + ' ' }}{% for message in turns %}{% if message['role'] == 'user' %}" +
      "{{ 'USER: ' + message['content'] + ' ' }}{% else %}{{ 'ASSISTANT: ' + message['content'] + eos_token }}" +
      "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}",
  },
};

export const BUILT_IN_NAMES: readonly string[] = Object.keys(BUILT_IN_TEMPLATES);
