// asyncapi.mjs FILE - AsyncAPI's own parser: every remark is a failure, but for the news that there is a later version.
import parser from '@asyncapi/parser';

const { Parser, fromFile } = parser;
const { diagnostics } = await fromFile(new Parser(), process.argv[2]).parse();
const remarks = diagnostics.filter((one) => one.severity < 2);
for (const one of remarks) console.error(`${one.path.join('.')}: ${one.message} (${one.code})`);
process.exit(remarks.length > 0 ? 1 : 0);
