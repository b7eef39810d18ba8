# Verifies OpenTimestamps files by Debian's python3-opentimestamps, for the tests of exports. The argument is a file of
# block headers in JSON: {height: hexadecimal}. Each line of standard input is {"ots": file, "shown": what it stamps},
# both in hexadecimal; each line of standard output is {"height", "time"} of the oldest block that proves it, or
# {"error": text}.
import io
import json
import sys

from bitcoin.core import CBlockHeader
from opentimestamps.core.notary import BitcoinBlockHeaderAttestation
from opentimestamps.core.serialize import BytesDeserializationContext, BytesSerializationContext
from opentimestamps.core.timestamp import DetachedTimestampFile

with open(sys.argv[1]) as f:
    headers = {int(height): CBlockHeader.deserialize(bytes.fromhex(raw)) for height, raw in json.load(f).items()}


def verify(line):
    asked = json.loads(line)
    raw = bytes.fromhex(asked["ots"])
    stamped = DetachedTimestampFile.deserialize(BytesDeserializationContext(raw))
    again = BytesSerializationContext()
    stamped.serialize(again)
    if again.getbytes() != raw:
        raise ValueError("written again it differs")
    if stamped.file_hash_op.hash_fd(io.BytesIO(bytes.fromhex(asked["shown"]))) != stamped.file_digest:
        raise ValueError("what is shown has another digest")
    found = []
    for msg, attestation in stamped.timestamp.all_attestations():
        if attestation.__class__ is BitcoinBlockHeaderAttestation:
            header = headers[attestation.height]
            found.append((attestation.verify_against_blockheader(msg, header), attestation.height))
    if not found:
        raise ValueError("no block")
    time, height = min(found)
    return {"height": height, "time": time}


for line in sys.stdin:
    try:
        answer = verify(line)
    except Exception as error:
        answer = {"error": "%s: %s" % (type(error).__name__, error)}
    print(json.dumps(answer))
