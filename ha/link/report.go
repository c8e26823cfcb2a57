package link

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"sync"
)

// Limits of what is remembered of reasons already logged.
const (
	maxReportKeys    = 256
	maxReportReasons = 16
)

// reports remembers which reasons were logged, so that each is logged once
// and not at every attempt.
type reports struct {
	mu   sync.Mutex
	seen map[string][]string // reasons by peer or host, in the order they came
}

// first reports whether the reason is new for the key.
func (r *reports) first(key, reason string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := r.seen[key]
	for i, s := range seen {
		if s == reason { // moved to the end: it is the latest
			copy(seen[i:], seen[i+1:])
			seen[len(seen)-1] = reason
			return false
		}
	}
	if len(seen) >= maxReportReasons || (seen == nil && len(r.seen) >= maxReportKeys) {
		return false
	}
	if r.seen == nil {
		r.seen = make(map[string][]string)
	}
	r.seen[key] = append(seen, reason)
	return true
}

// last is the latest reason for the key.
func (r *reports) last(key string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if seen := r.seen[key]; len(seen) > 0 {
		return seen[len(seen)-1]
	}
	return ""
}

// forget has every reason for the key logged again when it comes.
func (r *reports) forget(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.seen, key)
}

// report logs why a connection did not become a stream, unless that was
// logged before.
func (l *Link) report(key, address string, err error) {
	reason := plain(err)
	if !l.reports.first(key, reason) {
		return
	}
	attributes := []any{"peer", key, "address", address, "reason", reason}
	var network *net.OpError
	// TLS wraps its own verdicts, "local error" and "remote error", as net does.
	if errors.As(err, &network) && network.Op != "local error" && network.Op != "remote error" {
		l.log.Info("HA peer not reached", attributes...)
	} else {
		l.log.Warn("HA peer refused", attributes...)
	}
}

// plain is the text of an error without what differs from one attempt to the
// next: port numbers and the time of day.
func plain(err error) string {
	var network *net.OpError
	if errors.As(err, &network) && network.Err != nil {
		return fmt.Sprintf("%s: %v", network.Op, network.Err)
	}
	var certificate x509.CertificateInvalidError
	if errors.As(err, &certificate) && certificate.Reason == x509.Expired {
		return "certificate has expired or is not yet valid"
	}
	return err.Error()
}
