package mirror

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"cairn/store/share"
)

// Rule says how long objects of some compartments are kept, counted from the end
// of their hour. The first rule that fits a compartment's name decides; what no
// rule fits is kept for ever, as group objects and private statements always are.
type Rule struct {
	Glob string        // of compartment names, as path.Match has it: "stream/*/data"
	Age  time.Duration // 0: not at all
}

// maxAge keeps ages within what can be computed with.
const maxAge = 200 * 366 * 24 * time.Hour

// ParseRule reads GLOB=AGE; the age is as [ParseAge] takes it.
func ParseRule(text string) (Rule, error) {
	glob, age, ok := strings.Cut(text, "=")
	r := Rule{Glob: glob}
	if _, err := path.Match(glob, ""); !ok || glob == "" || err != nil {
		return r, fmt.Errorf("%.80q is no GLOB=AGE such as stream/*/data=90d", text)
	}
	if glob == ledgerName || glob == statementsName {
		return r, fmt.Errorf("%s is always kept: without it a copy cannot be checked", glob)
	}
	var err error
	r.Age, err = ParseAge(age)
	return r, err
}

// ParseAge reads a number of days such as 90d, or a duration such as 12h.
func ParseAge(text string) (time.Duration, error) {
	if days, is := strings.CutSuffix(text, "d"); is {
		n, err := strconv.ParseUint(days, 10, 31)
		if err != nil {
			return 0, fmt.Errorf("%.40q is no number of days such as 90d", text)
		}
		if n > uint64(maxAge/(24*time.Hour)) {
			return 0, fmt.Errorf("%.40q is more than %d years", text, maxAge/(366*24*time.Hour))
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	age, err := time.ParseDuration(text)
	if err != nil || age < 0 || age > maxAge {
		return 0, fmt.Errorf("%.40q is no age such as 90d or 12h", text)
	}
	return age, nil
}

// fits reports whether the rule is about a compartment.
func (r Rule) fits(compartment string) bool {
	ok, err := path.Match(r.Glob, compartment)
	return err == nil && ok && compartment != ledgerName && compartment != statementsName
}

// expired reports whether the schedule has an object of an hour removed.
func (c *Copy) expired(compartment string, h share.Hour) bool {
	for _, r := range c.keep {
		if r.fits(compartment) {
			return c.over(r, h)
		}
	}
	return false
}

// over reports whether a rule's age has passed since the end of an hour.
func (c *Copy) over(r Rule, h share.Hour) bool {
	return c.now().UnixMilli()-h.End() >= r.Age.Milliseconds()
}

// kept is up to which batch a rule was applied.
type kept struct {
	Rule
	Through uint64 `json:"through"`
}

// Expire removes the objects whose time has passed by the schedule, and returns how
// many. A group's folder is synced before the state says that it was done: a crash
// leaves some of them, which the next call removes.
func (c *Copy) Expire(ctx context.Context, keys Keys) (removed int, err error) {
	c.pass.Lock()
	defer c.pass.Unlock()
	st := c.st
	st.Kept = slices.Clone(st.Kept)
	if !slices.EqualFunc(st.Kept, c.keep, func(k kept, r Rule) bool { return k.Rule == r }) {
		st.Kept = nil
		for _, r := range c.keep {
			st.Kept = append(st.Kept, kept{Rule: r})
		}
	}
	for i := range st.Kept {
		n, through, err := c.expire(ctx, keys, st.Kept[i])
		removed += n
		if through > st.Kept[i].Through {
			st.Kept[i].Through = through
			if perr := c.putState(st); err == nil {
				err = perr
			}
		}
		if err != nil {
			return removed, err
		}
	}
	return removed, nil
}

// expire applies one rule from where it was applied last.
func (c *Copy) expire(ctx context.Context, keys Keys, k kept) (removed int, through uint64, err error) {
	through = k.Through
	for _, ref := range c.groups {
		if ref.Next <= k.Through {
			continue
		}
		if !c.over(k.Rule, ref.Hour) || ctx.Err() != nil {
			return removed, through, ctx.Err()
		}
		_, objects, err := c.Listing(keys, ref.First)
		if err != nil {
			return removed, through, err
		}
		some := false
		for _, o := range objects {
			if !k.fits(o.Name) || !c.expired(o.Name, ref.Hour) {
				continue
			}
			err := os.Remove(filepath.Join(c.groupDir(ref.First), o.Hash.String()))
			if err == nil {
				removed, some = removed+1, true
			} else if !errors.Is(err, os.ErrNotExist) {
				return removed, through, fmt.Errorf("remove by schedule: %w", err)
			}
		}
		if some {
			if err := syncDir(c.groupDir(ref.First)); err != nil {
				return removed, through, err
			}
		}
		through = ref.Next
	}
	return removed, through, nil
}
