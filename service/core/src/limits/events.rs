//! What the creation of events may take: they stay for good, in every replica's memory and in every snapshot, and any user
//! may create them.

/// Events of one owner. Two a week for ten years; and a hundred owners must work together to use up `EVENTS_MAX`.
pub const EVENTS_PER_OWNER_MAX: u64 = 1_000;

/// Bytes of memory that one owner's event definitions take: a thousand events with twenty contestants each and 200 bytes of
/// text a contestant, or nineteen of the longest that there can be. At least thirty-two owners must work together
/// to use up `EVENT_BYTES_MAX`.
pub const EVENT_BYTES_PER_OWNER_MAX: u64 = 8 * 1024 * 1024;

/// Bytes of memory that all event definitions take. Every replica holds them and every snapshot writes them: a
/// sixteenth of a node with 4 GiB, and what a disk of 125 MB/s writes in two seconds.
pub const EVENT_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Bytes that an event counts besides its texts, and each of its contestants besides theirs. Measured with glibc's
/// allocator on 64 bits: 532 for an event with its entries in the tables by request and by time, and some 40 for an owner's;
/// 174 for a contestant whose three texts have a byte each (three strings and their three smallest allocations, and a total).
pub const EVENT_OWN_BYTES: u64 = 640;
pub const CONTESTANT_OWN_BYTES: u64 = 176;

/// Creations of events by one caller, operators excepted: how many at once, and milliseconds until one more. An organizer
/// sets up an evening's events in one go and corrects a few; ten a minute is faster than a person types.
pub const CREATE_EVENT_PER_CALLER_BURST: u32 = 20;
pub const CREATE_EVENT_PER_CALLER_REFILL_MS: u64 = 6_000;

/// The same from one address: ten times as many, for an office of organizers behind one gateway. Whoever holds a list of
/// accounts is not faster than that.
pub const CREATE_EVENT_PER_ADDRESS_BURST: u32 = 200;
pub const CREATE_EVENT_PER_ADDRESS_REFILL_MS: u64 = 600;
