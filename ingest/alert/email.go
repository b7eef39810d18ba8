package alert

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/wneessen/go-mail"
)

// Email sends notices as plain text by SMTP.
type Email struct {
	Host     string
	Port     int
	From     string
	To       []string
	Username string // "": without login
	Password string
	// TLS is TLSStart, TLSAlways or TLSNever.
	TLS       string
	TLSConfig *tls.Config // nil: the system's authorities
}

// Ways of TLS.
const (
	TLSStart  = "starttls" // it is asked for, and a server without is refused
	TLSAlways = "tls"      // from the first byte
	TLSNever  = "none"
)

// emailTimeout is for one word of the conversation.
const emailTimeout = 15 * time.Second

// Notify implements [Notifier].
func (e *Email) Notify(ctx context.Context, n Notice) error {
	m, err := e.message(&n)
	if err != nil {
		return fmt.Errorf("email: %w: %w", ErrRefused, err)
	}
	o := []mail.Option{mail.WithPort(e.Port), mail.WithTimeout(emailTimeout), mail.WithoutNoop()}
	switch e.TLS {
	case TLSAlways:
		o = append(o, mail.WithSSL())
	case TLSNever:
		o = append(o, mail.WithTLSPolicy(mail.NoTLS))
	default:
		o = append(o, mail.WithTLSPolicy(mail.TLSMandatory))
	}
	if e.TLSConfig != nil {
		o = append(o, mail.WithTLSConfig(e.TLSConfig))
	}
	if e.Username != "" {
		o = append(o, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(e.Username), mail.WithPassword(e.Password))
	}
	c, err := mail.NewClient(e.Host, o...)
	if err != nil {
		return fmt.Errorf("email: %w", err)
	}
	if err = c.DialAndSendWithContext(ctx, m); err == nil {
		return nil
	}
	var failed *mail.SendError
	if errors.As(err, &failed) && !failed.IsTemp() && failed.ErrorCode() >= 500 {
		err = fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return fmt.Errorf("email: %s: %w", e.Host, err)
}

func (e *Email) message(n *Notice) (*mail.Msg, error) {
	m := mail.NewMsg()
	if err := m.From(e.From); err != nil {
		return nil, err
	}
	if err := m.To(e.To...); err != nil {
		return nil, err
	}
	m.Subject(n.Subject())
	m.SetMessageIDWithValue(n.ID + "@cairn")
	m.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834 section 5
	m.SetBodyString(mail.TypeTextPlain, n.Text())
	return m, nil
}
