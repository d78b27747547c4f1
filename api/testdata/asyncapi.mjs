// Reads an AsyncAPI document with AsyncAPI's own parser, and prints what it has to say.
//   node asyncapi.mjs FOLDER DOCUMENT    (FOLDER has node_modules)
import { createRequire } from 'node:module';
const [folder, file] = process.argv.slice(2);
const { Parser, fromFile } = createRequire(folder + '/')('@asyncapi/parser');
const { document, diagnostics } = await fromFile(new Parser(), file).parse();
for (const d of diagnostics) {
  console.log(['error', 'warning', 'information', 'hint'][d.severity], d.code, d.path.join('.'), d.message);
}
if (document) {
  const many = (list, name) => `${list.all().length} ${name}${list.all().length === 1 ? '' : 's'}`;
  console.log(`read ${document.version()}: ${many(document.channels(), 'channel')}, ${many(document.operations(), 'operation')}, ${many(document.allMessages(), 'message')}`);
}
