package iscsi

import (
	"fmt"
	"io"
	"log/slog"
)

// Secret is a CHAP secret. However it is printed, logged or marshalled, only
// "[redacted]" comes out; Reveal gives the secret itself. The zero Secret is
// empty.
type Secret struct {
	// value is behind a pointer so that printing by reflection, which reaches
	// unexported fields without asking Format, finds an address.
	value *string
}

const redacted = "[redacted]"

// NewSecret makes a Secret of s.
func NewSecret(s string) Secret { return Secret{&s} }

// Reveal returns the secret, for computing with it.
func (s Secret) Reveal() []byte {
	if s.value == nil {
		return nil
	}
	return []byte(*s.value)
}

// IsSet reports whether there is a secret.
func (s Secret) IsSet() bool { return s.value != nil && *s.value != "" }

// String hides the secret.
func (s Secret) String() string { return redacted }

// Format hides the secret under every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue hides the secret from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText hides the secret from JSON and other encodings.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
