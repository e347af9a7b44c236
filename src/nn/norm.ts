import { Module } from "./module.js";

/** A layer that rescales activations to a learned size. Its parameters are exempt from weight decay. */
export abstract class Norm extends Module {}
