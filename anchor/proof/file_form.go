package proof

import (
	"errors"
	"fmt"
	"math/bits"
	"unicode/utf8"
)

// check holds what every file must be like, whatever it says: positions inside
// their lists, orders kept, no part without use. A part that nothing refers to
// would be bytes that no check covers.
func (f *File) check() error {
	if err := f.checkVersion(); err != nil {
		return err
	}
	u := usedParts{
		summaries: make([]bool, len(f.Summaries)), batches: make([]bool, len(f.Batches)),
		heads: make([]bool, len(f.Heads)),
	}
	if err := f.checkReadings(&u); err != nil {
		return err
	}
	for i, s := range f.Summaries {
		if !use(u.batches, s.Batch) {
			return fmt.Errorf("%w: summary %d: no batch %d", ErrFile, i, s.Batch)
		}
	}
	if err := f.checkStatements(u.batches); err != nil {
		return err
	}
	for i := range f.Batches {
		if err := f.Batches[i].check(u.heads); err != nil {
			return fmt.Errorf("%w: batch %d: %w", ErrFile, i, err)
		}
	}
	if err := f.checkReceipts(&u); err != nil {
		return err
	}
	if err := f.checkExtensions(&u); err != nil {
		return err
	}
	return errors.Join(allUsed("summary", u.summaries), allUsed("batch", u.batches), allUsed("head", u.heads))
}

// usedParts marks the parts that another part refers to.
type usedParts struct {
	summaries, batches, heads []bool
}

// checkVersion holds that a file has something to say, and nothing that its
// version has no place for.
func (f *File) checkVersion() error {
	switch f.Version {
	case 0:
		if len(f.Ranges)+len(f.Extends)+len(f.Vouches) != 0 {
			return fmt.Errorf("%w: version 0 has no ranges, extensions and vouches", ErrFile)
		}
		for i := range f.Summaries {
			if f.Summaries[i].Rest != nil {
				return fmt.Errorf("%w: summary %d: version 0 does not show what it hides", ErrFile, i)
			}
		}
		if len(f.Readings) == 0 {
			return fmt.Errorf("%w: it shows no reading", ErrFile)
		}
	case 1:
		if len(f.Readings)+len(f.Ranges)+len(f.Receipts) == 0 {
			return fmt.Errorf("%w: it has no reading, no range and no receipt", ErrFile)
		}
	default:
		return fmt.Errorf("%w: it is of version %d", ErrFile, f.Version)
	}
	return nil
}

func (f *File) checkReadings(u *usedParts) error {
	for i := range f.Readings {
		r := &f.Readings[i]
		if err := r.check(); err != nil {
			return fmt.Errorf("%w: reading %d: %w", ErrFile, i, err)
		}
		if !use(u.summaries, r.Summary) {
			return fmt.Errorf("%w: reading %d: no summary %d", ErrFile, i, r.Summary)
		}
	}
	for i := range f.Ranges {
		if err := f.Ranges[i].check(u.summaries); err != nil {
			return fmt.Errorf("%w: range %d: %w", ErrFile, i, err)
		}
	}
	return nil
}

// check holds the form of a range. That the summaries are of one stream and
// ascend, and that no number is missing, is step 9's.
func (r *Range) check(summaries []bool) error {
	if len(r.Summaries) == 0 {
		return errors.New("it has no summary")
	}
	seen := make(map[int]bool, len(r.Summaries))
	for _, s := range r.Summaries {
		if !use(summaries, s) {
			return fmt.Errorf("no summary %d", s)
		}
		if seen[s] {
			return fmt.Errorf("summary %d twice", s)
		}
		seen[s] = true
	}
	if r.From < 0 || r.To < r.From {
		return fmt.Errorf("it is of the time from %d to %d", r.From, r.To)
	}
	if len(r.Left) != bits.OnesCount64(r.First) {
		return fmt.Errorf("%d roots stand for the %d readings before it", len(r.Left), r.First)
	}
	for i := range r.Readings {
		if err := r.Readings[i].check(); err != nil {
			return fmt.Errorf("reading %d: %w", i, err)
		}
	}
	return nil
}

func (n *Numbered) check() error {
	if len(n.Fields) != 0 {
		return checkFields(n.Fields, n.Width)
	}
	if n.Width != 0 || len(n.Hidden) != 1 {
		return fmt.Errorf("without fields it has a record tree of %d leaves and %d hashes, want 0 and the record root", n.Width, len(n.Hidden))
	}
	return nil
}

func (f *File) checkReceipts(u *usedParts) error {
	for i, r := range f.Receipts {
		if r.Head < 0 || r.Head >= len(f.Heads) {
			return fmt.Errorf("%w: receipt %d: no head %d", ErrFile, i, r.Head)
		}
		if f.Version == 0 {
			continue // there only a batch makes use of a head
		}
		u.heads[r.Head] = true
		if !utf8.ValidString(r.Route) || !utf8.ValidString(r.Kind) {
			return fmt.Errorf("%w: receipt %d: route or kind is not UTF-8", ErrFile, i)
		}
	}
	for i, v := range f.Vouches {
		if v.Receipt < 0 || v.Receipt >= len(f.Receipts) {
			return fmt.Errorf("%w: vouch %d: no receipt %d", ErrFile, i, v.Receipt)
		}
		if !utf8.ValidString(v.Kind) {
			return fmt.Errorf("%w: vouch %d: its kind is not UTF-8", ErrFile, i)
		}
	}
	return nil
}

func (f *File) checkExtensions(u *usedParts) error {
	type pair struct{ old, new int }
	seen := make(map[pair]bool, len(f.Extends))
	for i, e := range f.Extends {
		if !use(u.heads, e.Old) || !use(u.heads, e.New) || e.Old == e.New {
			return fmt.Errorf("%w: extension %d: of head %d to %d", ErrFile, i, e.Old, e.New)
		}
		if seen[pair{e.Old, e.New}] {
			return fmt.Errorf("%w: extension %d: of head %d to %d again", ErrFile, i, e.Old, e.New)
		}
		seen[pair{e.Old, e.New}] = true
	}
	return nil
}

func allUsed(what string, used []bool) error {
	for i, ok := range used {
		if !ok {
			return fmt.Errorf("%w: %s %d is not used", ErrFile, what, i)
		}
	}
	return nil
}

func (f *File) checkStatements(batches []bool) error {
	type place struct {
		batch int
		index uint64
	}
	shown, seen := make([]bool, len(f.Batches)), make(map[place]bool, len(f.Statements))
	for i, s := range f.Statements {
		if !use(batches, s.Batch) || f.Batches[s.Batch].Statements == nil {
			return fmt.Errorf("%w: statement %d: no batch %d that shows statements", ErrFile, i, s.Batch)
		}
		if seen[place{s.Batch, s.Index}] {
			return fmt.Errorf("%w: statement %d: number %d is shown twice by batch %d", ErrFile, i, s.Index, s.Batch)
		}
		shown[s.Batch], seen[place{s.Batch, s.Index}] = true, true
	}
	for i := range f.Batches {
		if f.Batches[i].Statements != nil && !shown[i] {
			return fmt.Errorf("%w: batch %d shows its statements for none", ErrFile, i)
		}
	}
	return nil
}

// use marks position i, and reports whether there is one.
func use(used []bool, i int) bool {
	if i < 0 || i >= len(used) {
		return false
	}
	used[i] = true
	return true
}

func (r *Reading) check() error {
	if len(r.Fields) == 0 {
		return errors.New("0 fields shown")
	}
	return checkFields(r.Fields, r.Width)
}

// checkFields holds the form of some fields of a record tree of this width.
func checkFields(fields []Field, width int) error {
	if width < 8 || width > maxShown || width&(width-1) != 0 {
		return fmt.Errorf("record tree of %d leaves", width)
	}
	if len(fields) > width {
		return fmt.Errorf("%d fields shown", len(fields))
	}
	last := -1
	for i := range fields {
		f := &fields[i]
		if f.Index <= last || f.Index >= width {
			return fmt.Errorf("field %d after field %d of %d leaves", f.Index, last, width)
		}
		if (f.Index == 0) != (len(f.Item) == 0) {
			return fmt.Errorf("item of field %d has %d bytes", f.Index, len(f.Item))
		}
		last = f.Index
	}
	return nil
}

func (b *Batch) check(heads []bool) error {
	if len(b.Heads) == 0 {
		return errors.New("no head covers it")
	}
	last := -1
	for _, p := range b.Heads {
		if p.Head <= last || !use(heads, p.Head) {
			return fmt.Errorf("head %d after head %d of %d", p.Head, last, len(heads))
		}
		last = p.Head
	}
	return nil
}
