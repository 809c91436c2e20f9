// node session.js CLIENT SCENARIO PORT [DIRECTORY] — one scenario of one client library; exits 0 if everything was as it should be.
// The directory has the certificates for TLS. A scenario that needs the server restarted prints "restart" and goes on when it notices that the server was away.
const [, , client, scenario, port, directory] = process.argv;
const { scenarios } = await import(`./${client}.js`);
if (!scenarios[scenario]) throw new Error(`${client} has no scenario ${scenario}`);
const giveUp = setTimeout(() => { console.error('no end after 50 s'); process.exit(2); }, 50_000);
await scenarios[scenario](Number(port), directory);
clearTimeout(giveUp);
