package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
)

// maxAnswer bounds what a client reads.
const maxAnswer = 64 << 20

// Client asks a controller. It may be used from many goroutines.
type Client struct {
	socket string
	http   http.Client
}

// NewClient makes a client of the controller behind a unix socket.
func NewClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}
	return &Client{socket: socket, http: http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// Status asks how the controller stands.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	return s, c.call(ctx, http.MethodGet, "/v1/status", nil, &s)
}

// Ports asks for the target ports.
func (c *Client) Ports(ctx context.Context) (p []Port, err error) {
	return p, c.call(ctx, http.MethodGet, "/v1/ports", nil, &p)
}

// Promote makes the controller primary of a logical unit.
func (c *Client) Promote(ctx context.Context, p Promotion) error {
	return c.call(ctx, http.MethodPost, "/v1/promote", p, nil)
}

// Drain has a controller hand over everything; it answers which one that is.
func (c *Client) Drain(ctx context.Context, m Maintenance) (out Maintenance, err error) {
	return out, c.call(ctx, http.MethodPost, "/v1/drain", m, &out)
}

// Undrain ends what Drain began; it answers of which controller.
func (c *Client) Undrain(ctx context.Context, m Maintenance) (out Maintenance, err error) {
	return out, c.call(ctx, http.MethodPost, "/v1/undrain", m, &out)
}

// call sends in and reads out, where they are not nil.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encoding a request: %w", err)
		}
		body = bytes.NewReader(b)
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://tandem"+path, body)
	if err != nil {
		return fmt.Errorf("making a request: %w", err)
	}
	if in != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.http.Do(request)
	if err != nil {
		return fmt.Errorf("no controller answers at %s: is it running? %w", c.socket, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("reading the answer of %s: %w", c.socket, err)
	}
	if response.StatusCode >= 300 {
		return problem(response.Status, text)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("reading the answer of %s: %w", c.socket, err)
	}
	return nil
}

// problem is the controller's own words (RFC 9457), or the status when there
// are none.
func problem(status string, text []byte) error {
	var p struct {
		Detail string `json:"detail"`
	}
	if json.Unmarshal(text, &p) == nil && p.Detail != "" {
		return fmt.Errorf("%s", p.Detail)
	}
	return fmt.Errorf("the controller answered %s", status)
}
