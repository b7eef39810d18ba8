package web

import (
	"context"
	"errors"
)

// What the console asks of the gateway, and the answers as the API gives them.
// Times in answers are RFC 3339 in UTC; "ledger" is "" for the default one in
// questions, and always its name in answers.
//
// Each question says who asks. One of the role Audience must be shown nothing but
// what the grants in force open: whoever implements this sees to that, here it is
// only seen to that an audience asks nothing else.

// Places are the devices at their places.
type Places interface {
	// Overview tells how all of the site does. No audience asks for it.
	Overview(ctx context.Context) (Overview, error)
	// Devices lists bindings of a ledger, or of all ledgers for "".
	Devices(ctx context.Context, who Who, ledger string) ([]Device, error)
}

// Readings are those that are kept. What is not there, and what who may not see,
// is ErrNotFound.
type Readings interface {
	// Readings lists readings of a stream, the newest first.
	Readings(ctx context.Context, who Who, q ReadingsQuery) (ReadingsPage, error)
	// History tells how one measurement went, in as many points as can be drawn.
	History(ctx context.Context, who Who, q HistoryQuery) (History, error)
	// Reading tells all of one.
	Reading(ctx context.Context, who Who, ledger string, stream, sequence uint64) (Reading, error)
	// See returns what of an event who may see; false: nothing. It is asked for
	// each event, so that a grant that has ended shows nothing more.
	See(who Who, e Event) (Event, bool)
}

// Prover makes proof files. ErrLater says that there will be one.
type Prover interface {
	Prove(ctx context.Context, who Who, q ProofRequest) (Proof, error)
}

// Log is what the ledgers' logs hold and where they are anchored.
type Log interface {
	// Batches lists a ledger's batches, the newest first.
	Batches(ctx context.Context, who Who, q BatchesQuery) (BatchesPage, error)
	// Batch tells all of one, or ErrNotFound.
	Batch(ctx context.Context, who Who, ledger string, index uint64) (Batch, error)
	// Anchors tells how each route does. No audience asks for it.
	Anchors(ctx context.Context, ledger string) ([]LedgerAnchors, error)
}

// Sharing is who else may read.
type Sharing interface {
	// Grants lists grants; for an audience its own.
	Grants(ctx context.Context, who Who, ledger string) ([]Grant, error)
	// Copies tells of mirrors and witnesses. No audience asks for it.
	Copies(ctx context.Context, ledger string) ([]LedgerCopies, error)
}

// Alerts are what is or was wrong. No audience asks for any of it.
type Alerts interface {
	Alerts(ctx context.Context, ledger string, all bool) (AlertList, error)
	// Acknowledge records that somebody of this name knows of an alert.
	Acknowledge(ctx context.Context, ledger string, number uint64, name, note string) (Alert, error)
	// Mute announces maintenance, Unmute ends it early.
	Mute(ctx context.Context, ledger, name string, q MuteRequest) (Mute, error)
	Unmute(ctx context.Context, ledger string, number uint64) (Mute, error)
}

// Settings checks the configuration that lies in the gateway's folder.
type Settings interface {
	Check(ctx context.Context) (Check, error)
}

// Reasons why there is no answer. Others are the gateway's own failures.
var (
	ErrNotFound = errors.New("there is no such thing")
	ErrLater    = errors.New("not yet")
	ErrBad      = errors.New("wrongly asked")
)

// Words for how a device or a place does, the best first.
const (
	StateOK     = "ok"
	StateSilent = "silent" // nothing came for longer than a rule says, or than an hour
	StateWarm   = "warm"   // beyond a rule's threshold, and no alarm: known, or not for long
	StateAlarm  = "alarm"  // an alert is open that nobody has acknowledged
)

// States lists them.
var States = []string{StateOK, StateSilent, StateWarm, StateAlarm}

// How far a reading is on its way to a public chain.
const (
	AnchorOpen    = "open"    // its window is not closed
	AnchorLogged  = "logged"  // in the log, in no block
	AnchorPending = "pending" // in a block that is not final
	AnchorFinal   = "final"
)

// Me is who asks.
type Me struct {
	Name     string `json:"name"`
	Role     Role   `json:"role" enum:"viewer,operator,admin,audience"`
	Audience string `json:"audience,omitempty" doc:"whose grants count, for the role audience"`
	Token    bool   `json:"token,omitempty" doc:"by an API token"`
	Several  bool   `json:"several,omitempty" doc:"there is more than one ledger"`
}

// Login is a name and a password.
type Login struct {
	Name     string `json:"name"`
	Password string `json:"password"`
}

// Done is the answer where there is nothing to tell.
type Done struct{}

// Failure is the body of every answer that is none.
type Failure struct {
	Error string `json:"error"`
}

// Overview is how all of the site does.
type Overview struct {
	Version string         `json:"version"`
	Now     string         `json:"now"`
	Since   string         `json:"since" doc:"when the service started"`
	Health  string         `json:"health" enum:"green,red,stopped"`
	Clock   string         `json:"clock"`
	Counts  map[string]int `json:"counts" doc:"places by state"`
	Places  []Place        `json:"places" doc:"the worst first"`
	Needs   []Need         `json:"needs" doc:"what needs a person now"`
}

// Place is where devices are. A device of no place has one of its own.
type Place struct {
	Name    string   `json:"name"`
	State   string   `json:"state" enum:"ok,silent,warm,alarm" doc:"the worst of its devices"`
	Devices []Device `json:"devices"`
}

// Need is what needs a person now.
type Need struct {
	What   string `json:"what"`
	Since  string `json:"since,omitempty"`
	Ledger string `json:"ledger,omitempty"`
	Alert  uint64 `json:"alert,omitempty" doc:"number of the alert that nobody has acknowledged; absent: it is something else"`
	Stream *int64 `json:"stream,omitempty" doc:"stream of the device that it is about"`
}

// Device is one binding: a device at one place for one holder. An audience is told
// what the stream's envelope tells: no number, name or place.
type Device struct {
	Ledger     string      `json:"ledger"`
	Stream     uint64      `json:"stream" doc:"the newest stream of it"`
	Streams    []uint64    `json:"streams" doc:"all of them, also late ones, of readings that were imported afterwards"`
	ID         string      `json:"id" doc:"16 hexadecimal digits"`
	Number     uint32      `json:"number,omitempty"`
	Name       string      `json:"name,omitempty"`
	Place      string      `json:"place,omitempty"`
	Thing      string      `json:"thing,omitempty"`
	Kind       string      `json:"kind,omitempty"`
	From       string      `json:"from,omitempty"`
	Until      string      `json:"until,omitempty" doc:"there when the binding has ended"`
	State      string      `json:"state,omitempty" enum:"ok,silent,warm,alarm" doc:"absent: the binding has ended, or an audience asks"`
	Why        string      `json:"why,omitempty" doc:"why the state is not ok"`
	Received   string      `json:"received,omitempty" doc:"when its newest reading came"`
	Values     []Value     `json:"values,omitempty" doc:"of its newest reading"`
	Thresholds []Threshold `json:"thresholds,omitempty" doc:"of the rules on it"`
	Opens      []Span      `json:"opens,omitempty" doc:"for an audience: the hours that its grants open"`
}

// Value is one measured value, in decimal digits.
type Value struct {
	Name  string `json:"name"`
	Unit  string `json:"unit,omitempty"`
	Value string `json:"value"`
}

// Threshold is where a rule begins to alert.
type Threshold struct {
	Rule  string `json:"rule"`
	Field string `json:"field"`
	Above string `json:"above,omitempty"`
	Below string `json:"below,omitempty"`
}

// Span is a time, from one that counts to one that does not.
type Span struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// ReadingsQuery asks for a page of a stream's readings.
type ReadingsQuery struct {
	Ledger   string
	Stream   uint64
	From, To int64   // received, Unix ms: in [From, To)
	Before   *uint64 // sequence number; nil: from the newest on
	Limit    int     // 1…MaxPage
}

// MaxPage is how many rows one page has at most.
const MaxPage = 500

// HistoryQuery asks how a measurement of a stream went.
type HistoryQuery struct {
	Ledger   string
	Stream   uint64
	Field    string
	From, To int64 // Unix ms: received in [From, To); of a late stream, measured
	Points   int   // at the most
}

// History is what a chart draws: numbers to look at, and no evidence. Its times are
// Unix ms.
type History struct {
	Field  string         `json:"field"`
	Unit   string         `json:"unit"`
	Width  int64          `json:"width" doc:"ms that a point stands for"`
	Points []HistoryPoint `json:"points"`
	Gaps   []HistorySpan  `json:"gaps" doc:"where readings were to be expected and none is, or none is open to who asks"`
	Gone   []HistorySpan  `json:"gone" doc:"what was shredded or dropped"`
	Read   int            `json:"read" doc:"readings that had it"`
}

// HistoryPoint stands for the readings of a span.
type HistoryPoint struct {
	From int64   `json:"from"`
	N    uint64  `json:"n"`
	Min  float64 `json:"min"`
	Mean float64 `json:"mean"`
	Max  float64 `json:"max"`
}

// HistorySpan is a time without points.
type HistorySpan struct {
	From int64  `json:"from"`
	To   int64  `json:"to"`
	Why  string `json:"why,omitempty" enum:"shredded,deleted"`
}

// ReadingsPage is a page of readings, the newest first.
type ReadingsPage struct {
	Readings []ReadingRow `json:"readings"`
	Next     *uint64      `json:"next,omitempty" doc:"there may be more: ask again with before set to this"`
	NotThere []string     `json:"notThere,omitempty" doc:"stretches of that time that were shredded or dropped as a whole, in words; in the first page"`
}

// ReadingRow is a reading as lists show it. Of one that who asks may see a part of,
// it has that part.
type ReadingRow struct {
	Ledger    string   `json:"ledger"`
	Stream    uint64   `json:"stream"`
	Sequence  uint64   `json:"sequence"`
	Received  string   `json:"received"`
	Measured  string   `json:"measured,omitempty" doc:"by the device's own clock, if it said"`
	Clock     string   `json:"clock" enum:"synced,unsynced,stepped" doc:"the gateway's clock when it came"`
	Transport string   `json:"transport"`
	Verdict   string   `json:"verdict"`
	Counter   *uint64  `json:"counter,omitempty" doc:"the node's own"`
	Values    []Value  `json:"values"`
	Shredded  []string `json:"shredded,omitempty" doc:"compartments whose part of it is gone"`
}

// Reading is all of one reading, and its way to the public chains.
type Reading struct {
	ReadingRow
	Device  string     `json:"device" doc:"ID"`
	Name    string     `json:"name,omitempty"`
	Place   string     `json:"place,omitempty"`
	Fields  []Field    `json:"fields"`
	Frame   *Frame     `json:"frame,omitempty"`
	State   string     `json:"state" enum:"open,logged,pending,final"`
	Path    *Path      `json:"path,omitempty" doc:"absent while its window is open"`
	Anchors []Covering `json:"anchors"`
}

// Field is one separately provable part of a reading.
type Field struct {
	Index int    `json:"index"`
	Name  string `json:"name"`
	Class string `json:"class" doc:"the compartment that holds it: envelope, site, data or a rule's class"`
	Value string `json:"value" doc:"in words"`
	Item  string `json:"item,omitempty" doc:"the bytes that are hashed, in hexadecimal; absent while its window is open"`
	Gone  bool   `json:"gone,omitempty" doc:"it was shredded"`
}

// Frame is the bytes as the node sent them.
type Frame struct {
	Hex    string `json:"hex"`
	Kind   string `json:"kind" doc:"what it is, in words"`
	Text   string `json:"text,omitempty" doc:"the same as text, if it is text"`
	SHA256 string `json:"sha256"`
}

// Path leads from a reading's entry to its ledger's log. Hashes are hexadecimal.
type Path struct {
	Tag      string   `json:"tag" doc:"the stream's pseudonym"`
	First    uint64   `json:"first" doc:"the run of its window: readings first to next-1 of the stream"`
	Next     uint64   `json:"next"`
	Run      []string `json:"run" doc:"siblings in the run's tree, from the leaf up"`
	Slot     uint64   `json:"slot" doc:"of the stream's summary in the batch tree"`
	Batch    []string `json:"batch" doc:"siblings in the batch tree"`
	Index    uint64   `json:"index" doc:"of the batch in the log"`
	From     string   `json:"from" doc:"the batch's window"`
	To       string   `json:"to"`
	Log      []string `json:"log,omitempty" doc:"siblings in the log's tree, under the newest signed head"`
	Size     uint64   `json:"size,omitempty" doc:"batches under that head"`
	Root     string   `json:"root,omitempty" doc:"of that head"`
	Unsigned string   `json:"unsigned,omitempty" doc:"why no head covers it"`
}

// Covering is the anchor of one route that covers a batch.
type Covering struct {
	Route  string `json:"route"`
	State  string `json:"state" enum:"pending,final"`
	Size   uint64 `json:"batches" doc:"under the anchored head"`
	Root   string `json:"root"`
	Tx     string `json:"transaction,omitempty"`
	Height uint64 `json:"block,omitempty"`
	Hash   string `json:"blockHash,omitempty"`
	Time   string `json:"time,omitempty"`
}

// BatchesQuery asks for a page of batches.
type BatchesQuery struct {
	Ledger string
	Before *uint64 // index; nil: from the newest on
	Limit  int
}

// BatchesPage is a page of batches, the newest first.
type BatchesPage struct {
	Batches []Batch `json:"batches"`
	Next    *uint64 `json:"next,omitempty" doc:"there are more: ask again with before set to this"`
}

// Batch is one entry of a ledger's log. What its header hides, an audience is not
// told.
type Batch struct {
	Ledger     string     `json:"ledger"`
	Index      uint64     `json:"index"`
	From       string     `json:"from"`
	To         string     `json:"to"`
	Root       string     `json:"root"`
	State      string     `json:"state" enum:"logged,pending,final"`
	Readings   *uint64    `json:"readings,omitempty"`
	Streams    *uint64    `json:"streams,omitempty"`
	Missed     *uint64    `json:"missed,omitempty" doc:"windows that it stands for without having been there"`
	Statements *uint64    `json:"statements,omitempty" doc:"of the ledger, up to it"`
	Seen       []Block    `json:"seen,omitempty" doc:"newest blocks when the window opened: it was not closed before them"`
	Header     string     `json:"header,omitempty" doc:"the log entry, in hexadecimal"`
	Anchors    []Covering `json:"anchors,omitempty"`
}

// Block is a block of a public chain.
type Block struct {
	Route  string `json:"route"`
	Height uint64 `json:"height"`
	Hash   string `json:"hash"`
	Time   string `json:"time"`
}

// LedgerAnchors is where a ledger is anchored.
type LedgerAnchors struct {
	Ledger   string        `json:"ledger"`
	ID       string        `json:"id"`
	Batches  uint64        `json:"batches"`
	Signed   uint64        `json:"signed" doc:"batches under the newest signed head"`
	Held     string        `json:"held,omitempty" doc:"why nothing is signed"`
	Quorum   string        `json:"quorum,omitempty" doc:"how many routes must hold a batch"`
	Rollback string        `json:"rollback" enum:"guarded,unguarded,held"`
	Routes   []AnchorRoute `json:"routes"`
}

// AnchorRoute is one way to anchor.
type AnchorRoute struct {
	Route     string   `json:"route"`
	Healthy   bool     `json:"healthy"`
	State     string   `json:"state,omitempty"`
	Reason    string   `json:"reason,omitempty" doc:"why it is not healthy, or what it waits for"`
	Notes     []string `json:"notes,omitempty"`
	Oldest    string   `json:"oldestUnanchored,omitempty"`
	OldestAge float64  `json:"oldestUnanchoredSeconds" doc:"0: all is anchored"`
	Next      string   `json:"next,omitempty" doc:"when the next anchor is due"`
	Rule      string   `json:"finalRule,omitempty"`
	Money     *Money   `json:"money,omitempty" doc:"absent: it costs nothing"`
	Undone    []string `json:"undone,omitempty" doc:"anchors that the chain undid after they were final"`
	Anchors   []Anchor `json:"anchors" doc:"the newest first"`
}

// Money is what a route spends, each amount in words.
type Money struct {
	Spent      string   `json:"spentThisMonth"`
	Monthly    string   `json:"monthlyBudget,omitempty"`
	PerAnchor  string   `json:"perAnchor,omitempty" doc:"at present fees"`
	Balance    string   `json:"balance,omitempty"`
	RunwayDays *float64 `json:"runwayDays,omitempty" doc:"for which the balance lasts"`
	TopUp      string   `json:"topUp,omitempty" doc:"what to send"`
	Address    string   `json:"address,omitempty" doc:"where to"`
}

// Anchor is one checkpoint's root on one chain.
type Anchor struct {
	Size   uint64 `json:"batches"`
	Root   string `json:"root"`
	State  string `json:"state"`
	Tx     string `json:"transaction,omitempty"`
	Height uint64 `json:"block,omitempty"`
	Hash   string `json:"blockHash,omitempty"`
	Time   string `json:"time,omitempty"`
	Fee    string `json:"fee,omitempty" doc:"paid, in words"`
}

// Grant is who may read what, from when until when.
type Grant struct {
	Ledger       string   `json:"ledger"`
	Number       uint64   `json:"number"`
	Audience     string   `json:"audience"`
	Purpose      string   `json:"purpose,omitempty"`
	State        string   `json:"state"`
	InForce      bool     `json:"inForce"`
	Mirror       bool     `json:"mirror,omitempty"`
	Compartments []string `json:"compartments"`
	From         string   `json:"from"`
	Until        string   `json:"until,omitempty"`
	Access       string   `json:"accessUntil,omitempty"`
	OpensFrom    string   `json:"opensFrom,omitempty"`
	OpensUntil   string   `json:"opensUntil,omitempty"`
	Ended        string   `json:"ended,omitempty"`
	Reason       string   `json:"reason,omitempty"`
}

// LedgerCopies is who else has a ledger, or cosigns it.
type LedgerCopies struct {
	Ledger    string    `json:"ledger"`
	Mirrors   []Mirror  `json:"mirrors"`
	Witnesses []Witness `json:"witnesses"`
}

// Mirror is one that keeps a copy, by its grant.
type Mirror struct {
	Grant    uint64 `json:"grant"`
	Audience string `json:"audience"`
	Seen     string `json:"seen,omitempty" doc:"when it last asked; absent: not since the service started"`
	Quiet    bool   `json:"quiet" doc:"it has not asked for a day"`
}

// Witness is one that cosigns checkpoints.
type Witness struct {
	Name    string `json:"name"`
	Healthy bool   `json:"healthy"`
	Size    uint64 `json:"batches" doc:"that it has cosigned"`
	Reason  string `json:"reason,omitempty"`
}

// AlertList is what is wrong, newest first.
type AlertList struct {
	Alerts      []Alert    `json:"alerts"`
	Maintenance []Mute     `json:"maintenance" doc:"that is not over"`
	Receivers   []Receiver `json:"receivers"`
}

// Alert is one alert and all that the ledger says of it.
type Alert struct {
	Ledger  string   `json:"ledger"`
	Number  uint64   `json:"number"`
	Rule    string   `json:"rule"`
	State   string   `json:"state" enum:"open,acknowledged,cleared"`
	Device  string   `json:"device,omitempty"`
	Stream  *int64   `json:"stream,omitempty"`
	About   string   `json:"about,omitempty"`
	What    string   `json:"what"`
	Raised  string   `json:"raised"`
	Told    []Told   `json:"told"`
	Untold  []string `json:"untold,omitempty" doc:"receivers that have not taken it yet"`
	Acks    []Ack    `json:"acknowledged,omitempty"`
	Cleared string   `json:"cleared,omitempty"`
	Why     string   `json:"clearedBecause,omitempty"`
}

// Told is that a receiver took a notice.
type Told struct {
	Receiver string `json:"receiver"`
	News     string `json:"news"`
	At       string `json:"at"`
}

// Ack is that somebody knows of an alert.
type Ack struct {
	Name string `json:"name"`
	Note string `json:"note,omitempty"`
	At   string `json:"at"`
}

// Mute is maintenance.
type Mute struct {
	Ledger  string   `json:"ledger"`
	Number  uint64   `json:"number"`
	Rules   []string `json:"rules,omitempty" doc:"none: all"`
	Devices []string `json:"devices,omitempty" doc:"globs of names or IDs; none: all"`
	From    string   `json:"from"`
	Until   string   `json:"until"`
	Name    string   `json:"name"`
	Reason  string   `json:"reason,omitempty"`
}

// Receiver is how one who is told of alerts does.
type Receiver struct {
	Name    string `json:"name"`
	Waiting int    `json:"waiting"`
	Failing string `json:"failingSince,omitempty"`
	Error   string `json:"error,omitempty"`
}

// AckRequest is what goes with an acknowledgement. The name is that of the login.
type AckRequest struct {
	Note string `json:"note,omitempty"`
}

// MuteRequest announces maintenance, from now on.
type MuteRequest struct {
	Rules   []string `json:"rules,omitempty" doc:"none: all"`
	Devices []string `json:"devices,omitempty" doc:"globs of names or IDs; none: all"`
	Minutes int      `json:"minutes" doc:"how long, at most 31 days"`
	Reason  string   `json:"reason,omitempty"`
}

// Check is what there is to say of the configuration in the folder.
type Check struct {
	OK       bool     `json:"ok"`
	Problems []string `json:"problems"`
	Facts    []string `json:"facts" doc:"what it sets up"`
}

// ProofRequest says which readings to prove and what to show of them: readings, or
// a device and a time. An audience names readings alone.
type ProofRequest struct {
	Ledger   string   `json:"ledger,omitempty"`
	Readings []string `json:"readings,omitempty" doc:"STREAM/SEQUENCE"`
	Device   string   `json:"device,omitempty" doc:"number, ID or name"`
	From     int64    `json:"from,omitempty" doc:"Unix ms"`
	To       int64    `json:"to,omitempty" doc:"Unix ms"`
	Complete bool     `json:"complete,omitempty" doc:"prove that there are no others in that time"`
	Fields   []string `json:"fields,omitempty" doc:"show these alone; none: all"`
	Alerts   []uint64 `json:"alerts,omitempty" doc:"and all that the ledger says of these"`
}

// Proof is a proof file.
type Proof struct {
	File  []byte
	State string // AnchorLogged, AnchorPending or AnchorFinal
	Waits bool   // asked again later, it may be final
	What  string // what it shows, in words
}

// ProofJob is a proof that was asked for.
type ProofJob struct {
	ID    string `json:"id"`
	Ready bool   `json:"ready" doc:"there is a file"`
	State string `json:"state" enum:"open,logged,pending,final" doc:"how far what it shows is anchored; open: its window is not closed, and there is no file yet"`
	Waits bool   `json:"waits" doc:"asked again later, it may be further"`
	Bytes int    `json:"bytes"`
	Name  string `json:"name" doc:"of the file"`
	What  string `json:"what,omitempty"`
	Until string `json:"until" doc:"until when it is kept"`
}

// Event is something new.
type Event struct {
	Type    string        `json:"type" enum:"reading,alert"`
	Reading *NewReading   `json:"reading,omitempty"`
	Alert   *ChangedAlert `json:"alert,omitempty"`
}

// NewReading is a reading that came.
type NewReading struct {
	Ledger   string  `json:"ledger"`
	Stream   uint64  `json:"stream"`
	Received string  `json:"received"`
	Values   []Value `json:"values"`

	At int64 `json:"-"` // received, Unix ms
}

// ChangedAlert is an alert that was raised, acknowledged or cleared.
type ChangedAlert struct {
	Ledger string `json:"ledger"`
	Number uint64 `json:"number"`
	Rule   string `json:"rule"`
	News   string `json:"news" enum:"raised,acknowledged,cleared"`
	What   string `json:"what,omitempty"`
}
