// The playground: a trained model, a mixture by hand, and a network that learns.

import { Explorer } from "../../tfmdn/plots/browser/explorer.js";
import { NormalMixture } from "../../tfmdn/plots/browser/mixture.js";
import { Model } from "../../tfmdn/plots/browser/model.js";
import { answers } from "../../tfmdn/plots/browser/view.js";
import { Lesson } from "./lesson.js";
import { Network } from "./network.js";
import { Throws } from "./throws.js";
import { Workbench } from "./workbench.js";

const told = JSON.parse(document.getElementById("data").textContent);
const explorer = new Explorer(document.getElementById("explorer"), new Model(told));
explorer.move(0, explorer.model.features[0].nearest(8));
const throws = new Throws(document.getElementById("throws"), explorer);
const workbench = new Workbench(document.getElementById("workbench"));
const lesson = new Lesson(document.getElementById("lesson"));

// For the console.
window.tfmdn = { explorer, throws, workbench, lesson, answers, NormalMixture, Network };
