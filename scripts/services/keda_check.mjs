// Holds KEDA's objects (a JSON list on standard input) against KEDA's own types. Run through helm.sh, which installs them.
import { readFileSync } from "node:fs";

const objects = JSON.parse(readFileSync(0));
for (const object of objects) {
  const name = `${object.kind}/${object.metadata.name}`;
  const { [object.kind]: Kind } = await import(`@kubernetes-models/keda/keda.sh/v1alpha1/${object.kind}`);
  try {
    new Kind(object).validate();
    console.log(`${name}: passed`);
  } catch (error) {
    console.log(`${name}: ${error.message}`);
    process.exitCode = 1;
  }
}
if (objects.length === 0) {
  console.log("no object is KEDA's");
  process.exitCode = 1;
}
