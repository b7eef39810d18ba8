package alert

import (
	"context"
	"fmt"
	"mime"
	"net/http"
	"strings"
)

// Ntfy publishes notices at a topic of ntfy (https://docs.ntfy.sh/publish/).
type Ntfy struct {
	URL   string // of the topic
	Token string // access token; "": none
}

// Notify implements [Notifier].
func (x *Ntfy) Notify(ctx context.Context, n Notice) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, x.URL, strings.NewReader(n.Text()))
	if err != nil {
		return fmt.Errorf("ntfy: its URL is none")
	}
	r.Header.Set("Title", mime.QEncoding.Encode("utf-8", n.Subject())) // RFC 2047, which ntfy reads
	priority, tag := "default", "white_check_mark"
	if n.News == Raised {
		priority, tag = "high", "warning"
	}
	r.Header.Set("Priority", priority)
	r.Header.Set("Tags", tag)
	if x.Token != "" {
		r.Header.Set("Authorization", "Bearer "+x.Token)
	}
	return do(r)
}
