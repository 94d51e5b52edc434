// The page of a user's own model.

import { Explorer } from "./explorer.js";
import { Model } from "./model.js";

const told = JSON.parse(document.getElementById("data").textContent);
const explorer = new Explorer(document.getElementById("explorer"), new Model(told));

window.tfmdn = { explorer }; // for the console
