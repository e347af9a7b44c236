import { Module } from "./module.js";

/** What brings the size of activations back to a learned one. Its parameters are exempt from weight decay. */
export abstract class Norm extends Module {}
