package target

import (
	"github.com/tandem-san/tandem/iscsi"
)

// logout ends the session, this connection, or another one of the session
// (RFC 7143 §11.14).
func (c *connection) logout(h *iscsi.BHS) error {
	var p iscsi.LogoutRequest
	p.Decode(h)
	switch {
	case p.Reason > iscsi.RemoveConnectionForRecovery:
		return violation(iscsi.RejectInvalidPDUField, "logout reason %d", p.Reason)
	case p.Reason == iscsi.RemoveConnectionForRecovery:
		c.answerLogout(&p, iscsi.LogoutRecoveryNotSupported)
		return nil
	case p.Reason == iscsi.CloseConnection && p.CID != c.cid:
		c.logoutOther(&p)
		return nil
	case p.Reason == iscsi.CloseSession:
		c.session.close(errLoggedOut, c)
	}
	c.answerLogout(&p, iscsi.LogoutSuccess)
	return errLoggedOut
}

// logoutOther closes another connection of the session and answers when its
// tasks have come back.
func (c *connection) logoutOther(p *iscsi.LogoutRequest) {
	m := &c.session.members
	m.mu.Lock()
	other := m.byCID[p.CID]
	m.mu.Unlock()
	if other == nil {
		c.answerLogout(p, iscsi.LogoutCIDNotFound)
		return
	}
	other.close(errLoggedOut)
	request := *p
	c.functions.Go(func() {
		gone := m.await(c.closed, gapTime, func() bool { return m.byCID[request.CID] != other })
		response := iscsi.LogoutSuccess
		if !gone {
			response = iscsi.LogoutCleanupFailed
		}
		c.answerLogout(&request, response)
		c.setBatching(false)
	})
}

func (c *connection) answerLogout(p *iscsi.LogoutRequest, response iscsi.LogoutResult) {
	c.mu.Lock()
	o := c.newPDU()
	iscsi.LogoutResponse{Response: response, InitiatorTaskTag: p.InitiatorTaskTag}.Encode(o.Header())
	o.status = true
	o.slot = !p.Immediate
	c.send(o)
	c.mu.Unlock()
}
