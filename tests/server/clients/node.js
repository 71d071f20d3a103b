// A front end without a page. Each line of input is a script, as a JSON text; the line of output is its value, in JSON.
const readline = require("node:readline");
const vm = require("node:vm");

const context = vm.createContext({ io: require(process.argv[2]) });

readline
  .createInterface({ input: process.stdin })
  .on("line", (line) => console.log(JSON.stringify(vm.runInContext(JSON.parse(line), context) ?? null)))
  .on("close", () => process.exit());
