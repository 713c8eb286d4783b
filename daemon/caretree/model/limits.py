"""Every bound that more than one room knows; each is tested at the limit and one above."""

KIB = 1024
MIB = 1024 * KIB

CONTENT_BYTES_MAX = 256 * KIB  # one record's content; more waits for blobs
CLIENT_BATCH_RECORDS_MAX = 256
CLIENT_BATCH_BYTES_MAX = 1 * MIB
BLOCK_BYTES_MAX = 4 * MIB
BLOCK_ENTRIES_MAX = 4096
BODY_BYTES_MAX = 16 * KIB  # a reading of 100 records takes 2 KiB, a keyring for 64 members 7 KiB
PEER_MESSAGE_BYTES_MAX = 8 * MIB
POOL_BYTES_MAX = 64 * MIB
PAGE_SIZE_MAX = 100
MEMBERS_MAX = 64
VOTERS_MAX = 9
IDENTIFIER_BYTES_MAX = 256
REASON_BYTES_MAX = 1 * KIB
CLOCK_AHEAD_MS_MAX = 30_000  # a voter holds back its ack of a block further ahead of its own clock
