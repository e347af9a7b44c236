export { adamw } from "./adamw";
export { sumOfSquares } from "./sum-of-squares";
