import { expect, test } from "vitest";
import { withConfigTokens } from "./outside-tokens.js";

test("named tokens that are new get their ids in transformers' order, whatever the order of the config", () => {
  const config = {
    ...{ cls_token: "<cls>", image_token: "<image>", mask_token: "<mask>", pad_token: "<pad>" },
    ...{ bos_token: "<s>", sep_token: { content: "<sep>" }, unk_token: "<unk>", eos_token: "</s>" },
    extra_special_tokens: ["<one>", "<pad>"],
  };
  const { named } = withConfigTokens([{ id: 3, content: "</s>" }], config);
  const names = ["<s>", "<unk>", "<sep>", "<pad>", "<cls>", "<mask>", "<image>", "<one>"];
  expect(named.map(({ content }) => content)).toEqual(names);
});
