// A front end without a page: each line is a script, as a JSON text; the answer, in JSON, is what it gives.
const readline = require("node:readline");
const vm = require("node:vm");

const place = vm.createContext({ io: require(process.argv[2]) });

readline
  .createInterface({ input: process.stdin })
  .on("line", (line) => console.log(JSON.stringify(vm.runInContext(JSON.parse(line), place) ?? null)))
  .on("close", () => process.exit());
