import type { Rng } from "../tensor/random.js";

/**
 * Rounding of a value between two codes: to the nearer one, or at random, up with a probability proportional to the
 * distance from the lower one. The latter is right on average, however small the changes that add up between
 * quantizations (Gupta et al. 2015, arXiv:1502.02551). It draws one number per element, even where nothing is rounded.
 */
export type Rounding = "nearest" | { readonly stochastic: Rng };
