package initiator

import (
	"crypto/rand"
	"crypto/subtle"
	"fmt"

	"github.com/tandem-san/tandem/iscsi"
)

// authenticate goes through the security stage (RFC 7143 §6.3.2, §12.1),
// sending names first.
func (l *login) authenticate(names []iscsi.KeyValue) error {
	method := iscsi.ValueNone
	if l.cfg.CHAP != nil {
		method = iscsi.AuthCHAP
	}
	say := append(names, iscsi.KeyValue{Key: iscsi.KeyAuthMethod, Value: method})
	transit, err := l.security(say, method == iscsi.ValueNone)
	if err != nil {
		return err
	}
	// Silence accepts an offer of None alone.
	if got, said := l.negotiator.Declared(iscsi.KeyAuthMethod); said && got != method || !said && method != iscsi.ValueNone {
		return fmt.Errorf("%w: the target answered AuthMethod=%.40s to %s", ErrAuthentication, got, method)
	}
	if method == iscsi.AuthCHAP {
		if transit, err = l.chap(); err != nil {
			return err
		}
	}
	for !transit {
		if transit, err = l.security(nil, true); err != nil {
			return err
		}
	}
	return nil
}

// security makes one exchange of the security stage.
func (l *login) security(say []iscsi.KeyValue, ask bool) (transit bool, err error) {
	heard, transit, err := l.exchange(say, ask, iscsi.LoginOperationalNegotiation)
	if err != nil {
		return false, err
	}
	answers, err := l.receive(nil, heard)
	if err != nil {
		return false, err
	}
	if len(answers) > 0 {
		return false, protocolErrorf(iscsi.OpLoginResponse, "key %s has no place in the security stage", answers[0].Key)
	}
	if transit {
		l.stage = iscsi.LoginOperationalNegotiation
	}
	return transit, nil
}

// chap carries out CHAP: the target's challenge is answered and, for mutual
// CHAP, the target is challenged (RFC 7143 §12.1.3).
func (l *login) chap() (transit bool, err error) {
	offer := iscsi.CHAPOffer()
	if _, err := l.security([]iscsi.KeyValue{{Key: iscsi.KeyCHAPA, Value: offer}}, false); err != nil {
		return false, err
	}
	algorithm, identifier, challenge, err := l.challenge()
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrAuthentication, err)
	}
	answer := algorithm.Response(identifier, l.cfg.CHAP.Secret.Reveal(), challenge)
	say := []iscsi.KeyValue{
		{Key: iscsi.KeyCHAPN, Value: l.cfg.CHAP.Name},
		{Key: iscsi.KeyCHAPR, Value: iscsi.EncodeBinary(answer)},
	}
	if l.cfg.Mutual == nil {
		return l.security(say, true)
	}
	own := make([]byte, algorithm.Size+1)
	if _, err := rand.Read(own); err != nil {
		return false, fmt.Errorf("draw a CHAP challenge: %w", err)
	}
	ownIdentifier, own := own[0], own[1:]
	// The negotiator keeps what the target declared first: a second CHAP_I or
	// CHAP_C is refused by it, so that ours cannot be answered with its own.
	say = append(say,
		iscsi.KeyValue{Key: iscsi.KeyCHAPI, Value: fmt.Sprint(ownIdentifier)},
		iscsi.KeyValue{Key: iscsi.KeyCHAPC, Value: iscsi.EncodeBinary(own)})
	if transit, err = l.security(say, true); err != nil {
		return false, err
	}
	return transit, l.verify(algorithm, ownIdentifier, own)
}

// challenge reads the target's CHAP_A, CHAP_I and CHAP_C.
func (l *login) challenge() (a iscsi.CHAPAlgorithm, identifier byte, challenge []byte, err error) {
	chosen, _ := l.negotiator.Declared(iscsi.KeyCHAPA)
	if a, err = iscsi.ParseCHAPAlgorithm(chosen); err != nil {
		return a, 0, nil, err
	}
	i, _ := l.negotiator.Declared(iscsi.KeyCHAPI)
	if identifier, err = iscsi.ParseCHAPIdentifier(i); err != nil {
		return a, 0, nil, err
	}
	c, _ := l.negotiator.Declared(iscsi.KeyCHAPC)
	if challenge, err = iscsi.DecodeBinary(c, iscsi.MaxCHAPChallenge); err != nil {
		return a, 0, nil, fmt.Errorf("%s: %w", iscsi.KeyCHAPC, err)
	}
	return a, identifier, challenge, nil
}

// verify checks the target's answer to our challenge.
func (l *login) verify(a iscsi.CHAPAlgorithm, identifier byte, challenge []byte) error {
	name, _ := l.negotiator.Declared(iscsi.KeyCHAPN)
	r, _ := l.negotiator.Declared(iscsi.KeyCHAPR)
	response, err := iscsi.DecodeBinary(r, a.Size)
	if err != nil {
		return fmt.Errorf("%w: %s of the target: %w", ErrAuthentication, iscsi.KeyCHAPR, err)
	}
	want := l.cfg.Mutual
	named := want.Name == "" || subtle.ConstantTimeCompare([]byte(name), []byte(want.Name)) == 1
	if !a.Verify(response, identifier, want.Secret.Reveal(), challenge) || !named {
		return fmt.Errorf("%w: the target %.80q did not prove itself", ErrAuthentication, name)
	}
	return nil
}
