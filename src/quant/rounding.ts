import type { Rng } from "../tensor/random.js";

/**
 * How a value between two codes is rounded: to the nearer one, or at random, up with a probability proportional to the
 * distance from the lower one. The latter is right on average, however small the changes are that are added up between
 * quantizations (Gupta et al. 2015, arXiv:1502.02551). It draws one number an element, also where nothing is to be rounded.
 */
export type Rounding = "nearest" | { readonly stochastic: Rng };
