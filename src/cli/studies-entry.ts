// The one place where the verb reaches studies. Loaded when it is needed, so that `--help` stays quick.
export { startStudy } from "../studies/run-study.js";
export { planStudy } from "../studies/study-plan.js";
export { locateStudy, lookAtRuns, studyRuns } from "../studies/study-run.js";
export { planLines, resultLines, StudyView } from "./study-view.js";
