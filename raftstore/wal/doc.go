// Package wal is the raft log on disk: a raft.LogStore, MonotonicLogStore and
// StableStore in segments of a fixed size.
//
// It promises: what StoreLogs, DeleteRange and Set acknowledged is on the disk; a
// batch is there as a whole or not at all; a write that was torn by a crash is cut
// off at the next Open, and zeroed before anything is appended; every read is
// checked; and damage to what was acknowledged makes Open fail with ErrDamaged
// rather than give a shorter log. A full disk leaves the log as it was (ErrFull);
// any other failed write ends it (ErrFailed) until it is opened anew.
//
// The folder:
//
//	stable        votes and terms, and which segments there are: two slots of a sector
//	NNNNNN.seg    a segment, in use or free; its header says which
//	*.new         a file that is being made; removed at Open
//
// A segment is a header of one sector, then frames, then zeros. All of it is
// written once before it is first used, and it is used again when its entries are
// dropped: an append changes no metadata and costs one write and one fdatasync.
//
//	header  magic, size, seq, salt, the log's range when it began, CRC
//	frame   header of 40 bytes that lies within one sector: CRC, length, seq, kind, range, CRC of the payload;
//	        payload: records, or nothing where the frame cuts the log
//	record  header of 40 bytes: CRC, lengths, type, index, term, time; data; extensions
//
// All CRCs are CRC32C and begin with the segment's salt, those of frames with their
// offset, too; a frame also says the seq of its segment. So what an earlier use has
// left in a segment is never taken for new.
//
// A disk is taken to write a sector of 512 bytes as a whole or not at all, and to
// leave sectors alone that are not written to. A frame is written only when the
// one before it is on disk, into zeros. What Open finds at the end of the last
// segment is thus one of: zeros; a whole frame; a torn one, which misses whole
// sectors; or damage, which misses none, or has a later frame behind it.
//
// Appends are serial; reads may be at any time. A closed WAL must not be used.
//
// The package leaves to others: when to cut the log, how long a write may take, and
// what to do when the disk fails (raftstore). Package crashfs is the disk that its
// tests lose power on.
package wal
