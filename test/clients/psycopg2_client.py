# Follows a slot through psycopg2, and appends its records to a file, each a line, as they are:
#   psycopg2_client.py CONNINFO SLOT FILE [LINES]
# It ends at the logical message `end`; or, as if it had crashed, when it has written so many LINES. When it starts
# again, it leaves out what the file has already.
import json
import os
import sys

import psycopg2
from psycopg2.extras import LogicalReplicationConnection, StopReplication


def place(record):
    """Where a record is in the stream: places only ever grow."""
    high, low = record['lsn'].split('/')
    ends = {'begin': 0.5, 'commit': float('inf')}
    return int(high, 16), int(low, 16), record.get('seq', ends.get(record['kind']))


conninfo, slot, path, *lines = sys.argv[1:]
left = int(lines[0]) if lines else float('inf')
with open(path, 'a+b') as file:
    file.seek(0)
    have = file.read().splitlines()
done = place(json.loads(have[-1])) if have else (0, 0, 0)
file = open(path, 'ab', buffering=0)

connection = psycopg2.connect(conninfo, connection_factory=LogicalReplicationConnection)
cursor = connection.cursor()
try:
    cursor.create_replication_slot(slot, output_plugin='carbonite')
except psycopg2.errors.DuplicateObject:
    pass


def consume(message):
    global done, left
    for line in message.payload.split(b'\n'):
        record = json.loads(line)
        if place(record) <= done:
            continue
        file.write(line + b'\n')
        done = place(record)
        left -= 1
        if left == 0:
            os._exit(42)
        if record['kind'] == 'message' and record['prefix'] == 'end':
            message.cursor.send_feedback(flush_lsn=message.data_start, force=True)
            raise StopReplication
    # a batch ends where its transaction ends, or before: this confirms nothing that is still to come
    message.cursor.send_feedback(flush_lsn=message.data_start)


cursor.start_replication(slot_name=slot, options={'partitions': 'leaf', 'batch-bytes': '4096'}, decode=False)
try:
    cursor.consume_stream(consume, keepalive_interval=1)
except StopReplication:
    connection.close()
