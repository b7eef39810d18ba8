package ingest

import (
	"errors"

	"cairn/ingest/frame"
)

// Reason says why something was refused, dropped, or recorded with less than
// it carried. Its text is a stable metric label.
type Reason uint8

// Reasons, by the verdict or the place that they belong to.
const (
	NoReason Reason = iota

	// Malformed: the frame's structure, in the order of the checks.
	FrameShort
	FrameLong
	FrameTruncated
	FrameTrailing
	FrameType
	FrameIDLength
	FrameBodyLength
	FrameLastByte
	FrameTrailerLength
	FrameCRC
	FrameScheme
	FrameSequence
	FramePadding // authentic, wrongly padded
	FrameOther

	// Malformed: a hub's line.
	LineTooLong
	LineCharacter
	LineKind
	LineID
	LineDump
	LineContent

	// Malformed: a message of a broker.
	MessageContent

	// BadTag.
	TagMismatch
	TooManyCandidates // not all were tried

	// UnknownNode.
	NoCandidate
	AmbiguousID // several devices without a key fit, or the ID is absent

	// Insecure.
	OnlyCRC
	HasKey // the ID is that of a device with a key: it must not speak in the clear

	// Opaque, and not recorded.
	OpaqueLimit

	// Dropped before it was judged.
	SourceLimit
	QueueFull
	DeviceShare // the queue is filling, and too much of it is of one device
	KernelDrop  // counted by the kernel, never seen here

	// Judged worth recording, not recorded.
	CommitterRefused // Submit failed
	CommitFailed     // Done with an error

	// Recorded, with fewer measurements than the frame may have meant.
	TypeNotRead   // authentic type other than 'O'
	BodyNotRead   // no body of a basic frame
	StatsNotRead  // stats that do not parse, or of an unknown format
	StatRefused   // one stat that no measurement can hold
	StatDuplicate // a name that is there already; the first was kept
	numberOfReasons
)

var reasonNames = [numberOfReasons]string{
	"none",
	"frame-short", "frame-long", "frame-truncated", "frame-trailing", "frame-type", "frame-id-length",
	"frame-body-length", "frame-last-byte", "frame-trailer-length", "frame-crc", "frame-scheme",
	"frame-sequence", "frame-padding", "frame-other",
	"line-long", "line-character", "line-kind", "line-id", "line-dump", "line-content",
	"message-content",
	"tag-mismatch", "too-many-candidates",
	"no-candidate", "ambiguous-id",
	"only-crc", "has-key",
	"opaque-limit",
	"source-limit", "queue-full", "device-share", "kernel-drop",
	"committer-refused", "commit-failed",
	"type-not-read", "body-not-read", "stats-not-read", "stat-refused", "stat-duplicate",
}

// String returns the reason's label.
func (r Reason) String() string {
	if r < numberOfReasons {
		return reasonNames[r]
	}
	return "unknown"
}

// Reasons returns all reasons but NoReason.
func Reasons() []Reason {
	all := make([]Reason, 0, numberOfReasons-1)
	for r := NoReason + 1; r < numberOfReasons; r++ {
		all = append(all, r)
	}
	return all
}

// parseReasons pairs what package frame says with what is counted.
var parseReasons = []struct {
	err    error
	reason Reason
}{
	{frame.ErrShort, FrameShort},
	{frame.ErrLong, FrameLong},
	{frame.ErrTruncated, FrameTruncated},
	{frame.ErrTrailing, FrameTrailing},
	{frame.ErrType, FrameType},
	{frame.ErrIDLength, FrameIDLength},
	{frame.ErrBodyLength, FrameBodyLength},
	{frame.ErrLastByte, FrameLastByte},
	{frame.ErrTrailerLength, FrameTrailerLength},
	{frame.ErrCRC, FrameCRC},
	{frame.ErrScheme, FrameScheme},
	{frame.ErrSequence, FrameSequence},
	{frame.ErrLineLong, LineTooLong},
	{frame.ErrLineCharacter, LineCharacter},
	{frame.ErrLineKind, LineKind},
	{frame.ErrLineID, LineID},
	{frame.ErrLineDump, LineDump},
	{frame.ErrLine, LineContent},
}

// reasonOf names an error of frame.Parse… or frame.ParseLine.
func reasonOf(err error) Reason {
	for _, p := range parseReasons {
		if errors.Is(err, p.err) {
			return p.reason
		}
	}
	return FrameOther
}
