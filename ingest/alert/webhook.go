package alert

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Headers of a webhook's request.
const (
	// HeaderSignature is "t=" seconds of Unix time ",v1=" and in hexadecimal the
	// HMAC-SHA256, under the secret, of the seconds, a full stop and the body.
	HeaderSignature = "Cairn-Signature"
	// HeaderDelivery is the notice's identifier.
	HeaderDelivery = "Cairn-Delivery"
)

// Webhook posts notices as JSON.
type Webhook struct {
	URL    string
	Secret []byte // by which the receiver knows who posts
}

// Notify implements [Notifier].
func (w *Webhook) Notify(ctx context.Context, n Notice) error {
	body, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("notice: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("webhook: its URL is none")
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set(HeaderDelivery, n.ID)
	if len(w.Secret) > 0 {
		r.Header.Set(HeaderSignature, Sign(w.Secret, time.Now().Unix(), body))
	}
	return do(r)
}

// Sign returns the value of HeaderSignature.
func Sign(secret []byte, unix int64, body []byte) string {
	at := strconv.FormatInt(unix, 10)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(at + "."))
	mac.Write(body)
	return "t=" + at + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}
