// Follows a slot through pg-logical-replication, and appends its records to a file, each a line, as they are:
//   node node_client.js CONNINFO SLOT FILE [LINES]
// CONNINFO is a JSON object. It ends at the logical message `end`; or, as if it had crashed, when it has written so
// many LINES. When it starts again, it leaves out what the file has already.
const fs = require('fs');
const { LogicalReplicationService } = require('pg-logical-replication');

// What the package asks of a plugin.
const carbonite = {
    name: 'carbonite',
    options: `partitions 'leaf', "batch-bytes" '16384'`,
    start(client, slot, lsn) { return client.query(`START_REPLICATION SLOT "${slot}" LOGICAL ${lsn} (${this.options})`); },
    parse(bytes) { return bytes.toString().split('\n'); },
};

// Where a record is in the stream: places only ever grow.
function place(record) {
    const [high, low] = record.lsn.split('/').map((part) => parseInt(part, 16));
    return [high, low, record.seq ?? (record.kind === 'commit' ? Infinity : 0.5)];
}
function isAfter(a, b) {
    const i = a.findIndex((part, i) => part !== b[i]);
    return i >= 0 && a[i] > b[i];
}

// The byte before a place.
function before(lsn) {
    const [high, low] = lsn.split('/').map((part) => BigInt('0x' + part));
    const place = (high << 32n) + low - 1n;
    return (place >> 32n).toString(16) + '/' + (place & 0xffffffffn).toString(16);
}

const [conninfo, slot, path, lines] = process.argv.slice(2);
const file = fs.openSync(path, 'a+');
const have = fs.readFileSync(path, 'utf8').split('\n').filter((line) => line !== '');
let done = have.length > 0 ? place(JSON.parse(have.at(-1))) : [0, 0, 0];
let left = lines ? Number(lines) : Infinity;

// The package's timer would confirm what was received, processed or not. And to what it confirms, it adds 1: then the
// server, if it had to send again what follows, would leave out a commit that begins right there.
const service = new LogicalReplicationService(JSON.parse(conninfo), { acknowledge: { auto: false, timeoutSeconds: 0 } });

service.on('data', (lsn, lines) => {
    for (const line of lines) {
        const record = JSON.parse(line);
        const isNew = isAfter(place(record), done);
        if (isNew) {
            fs.writeSync(file, line + '\n');
            done = place(record);
            if (--left === 0)
                process.exit(42);
        }
        if (record.kind === 'commit' || record.kind === 'message' && !record.transactional)
            service.acknowledge(before(record.end_lsn ?? record.lsn));
        if (isNew && record.prefix === 'end')
            service.stop();
    }
});
service.on('heartbeat', (lsn) => service.acknowledge(before(lsn)));
service.on('error', (error) => { console.error(error); process.exit(2); });
service.subscribe(carbonite, slot);
