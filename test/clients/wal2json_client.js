// Follows a slot as wal2json through the class that pg-logical-replication has for it, and appends what it has parsed
// to a file, a line for each object of a transaction:
//   node wal2json_client.js CONNINFO SLOT FILE [OBJECTS]
// CONNINFO is a JSON object. It ends at the logical message `end`; or, as if it had crashed, when it has received so many
// objects. Objects of wal2json have no place in their transaction, so it writes whole transactions.
const fs = require('fs');
const { LogicalReplicationService, Wal2JsonPlugin } = require('pg-logical-replication');

// The byte before a place.
function before(lsn) {
    const [high, low] = lsn.split('/').map((part) => BigInt('0x' + part));
    const place = (high << 32n) + low - 1n;
    return (place >> 32n).toString(16) + '/' + (place & 0xffffffffn).toString(16);
}

const [conninfo, slot, path, objects] = process.argv.slice(2);
const file = fs.openSync(path, 'a+');
const number = (lsn) => lsn.split('/').reduce((sum, part) => sum * 2 ** 32 + parseInt(part, 16), 0);
const ends = (object) => object.action === 'C' || object.action === 'M' && !object.transactional;
const end = (object) => object.nextlsn ?? object.lsn;
const have = fs.readFileSync(path, 'utf8').split('\n').filter((line) => line !== '').map((line) => JSON.parse(line));
let done = have.length > 0 ? number(end(have.at(-1))) : 0;
let left = objects ? Number(objects) : Infinity;
let transaction = [];

// The package's timer would confirm what was received, processed or not. And to what it confirms, it adds 1: then the
// server, if it had to send again what follows, would leave out a commit that begins right there.
const service = new LogicalReplicationService(JSON.parse(conninfo), { acknowledge: { auto: false, timeoutSeconds: 0 } });

service.on('data', (lsn, object) => {
    if (--left === 0)
        process.exit(42);
    transaction.push(object);
    if (!ends(object))
        return;
    const isNew = number(end(object)) > done;
    if (isNew)
        fs.writeSync(file, transaction.map((object) => JSON.stringify(object) + '\n').join(''));
    transaction = [];
    service.acknowledge(before(end(object)));
    if (isNew && object.prefix === 'end')
        service.stop();
});
service.on('heartbeat', (lsn) => transaction.length === 0 && service.acknowledge(before(lsn)));
service.on('error', (error) => { console.error(error); process.exit(2); });
// numbers of PostgreSQL have more digits than those of JavaScript
const options = { formatVersion: '2', includeLsn: true, includeXids: true, includePk: true, numericDataTypesAsString: true };
service.subscribe(new Wal2JsonPlugin(options), slot);
