package anchor

import (
	"context"
	"errors"
	"fmt"
)

// guard makes sure once per start that our log contains the chain's head,
// and asks again as long as it does not.
func (r *Route) guard(ctx context.Context) bool {
	if r.guardOK {
		return true
	}
	root, err := call(ctx, r.cfg.Timeout, r.cfg.Chain.Stored)
	known := root == Root{}
	switch {
	case errors.Is(err, ErrNoHead):
		return true // it confirms nothing, so nobody is told
	case err == nil && !known:
		_, known, err = r.cfg.Source.FindRoot(root)
	}
	if err != nil {
		r.setDown(ctx, fmt.Errorf("ask for the chain's head: %w", err))
		return false
	}
	r.tellGuard(known, root)
	if !known {
		r.setDown(ctx, fmt.Errorf("%w: %s", ErrUnknownHead, root))
	}
	return known
}

func (r *Route) tellGuard(ok bool, root Root) {
	if r.guarded && r.guardOK == ok {
		return
	}
	r.guarded, r.guardOK = true, ok
	if r.cfg.Guard == nil {
		return
	}
	if ok {
		r.cfg.Guard(true, "")
		return
	}
	r.cfg.Guard(false, fmt.Sprintf("%s holds the head %s, which this log does not contain", r.cfg.Chain.Name(), root))
}
