import path from "node:path";
import { TEXT, writeSmallModel } from "../small-model.js";
import { type Area, train } from "./bad-input.js";
import { adapterFor } from "./faulty-models.js";

const EVAL = ["eval", "org/name", "--data", "a.txt"];

export const hub: Area = {
  title: "Models of the hub",
  rows: [
    {
      name: "a model by name, offline, that was never downloaded",
      args: EVAL,
      alike: [train("--model", "org/name"), ["inspect", "org/name"], ["merge", "org/name", "--out", "merged"]],
      env: { HF_HUB_OFFLINE: "1", HF_HOME: "hf" },
      files: { "a.txt": TEXT },
      says: ["org/name: there is no local folder of that name, hf/hub does not have the whole model", "HF_HUB_OFFLINE"],
      code: 3,
    },
    {
      name: "a data set by name, offline, that was never downloaded",
      args: ["data", "org/set:config"],
      alike: [["train", "--model", "tiny", "--data", "org/set:config"]],
      env: { HF_HUB_OFFLINE: "1", HF_HOME: "hf" },
      says: ["org/set: there is no local file or folder of that name, hf/hub does not have the whole data set"],
      code: 3,
    },
    {
      name: "a data set with a fault in its path",
      args: ["data", "sets/mein"],
      files: { "sets/mine/a.txt": "a" },
      says: ["sets/mein: there is no such file or folder in sets", "for the data set of the hub write sets/mein@main"],
      code: 3,
    },
    {
      name: "a path with a fault that could be a name",
      args: ["eval", "runs/mein", "--data", "a.txt"],
      files: { "a.txt": TEXT, "runs/mine/readme.txt": "" },
      says: ["runs/mein: there is no such file or folder in runs", "for the model of the hub write runs/mein@main"],
      code: 3,
    },
    {
      name: "an adapter whose base is unavailable",
      args: ["eval", "adapter", "--data", "a.txt", "--base", "org/name@v1"],
      env: { HF_HUB_OFFLINE: "1", HF_HOME: "hf" },
      files: { "a.txt": TEXT },
      prepare: async (cwd) => {
        await writeSmallModel(path.join(cwd, "base"), { numLayers: 1 });
        await adapterFor(cwd, "base", null);
      },
      says: ["org/name@v1: there is no local folder of that name"],
      code: 3,
    },
    {
      name: "an endpoint that is not an address",
      args: EVAL,
      env: { HF_ENDPOINT: "mirror.example" },
      files: { "a.txt": TEXT },
      says: ["HF_ENDPOINT: must be an address such as https://huggingface.co"],
      code: 2,
    },
    {
      name: "an endpoint with a password",
      args: EVAL,
      env: { HF_ENDPOINT: "https://me:secret@mirror.example" },
      files: { "a.txt": TEXT },
      says: ["HF_ENDPOINT: must hold no user, password or query; give a token in HF_TOKEN"],
      code: 2,
    },
    {
      name: "an invalid token",
      args: EVAL,
      env: { HF_TOKEN: "two words" },
      files: { "a.txt": TEXT },
      says: ["HF_TOKEN: the token must be one word of ASCII characters"],
      code: 2,
    },
  ],
};
