package target

import (
	"crypto/rand"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tandem-san/tandem/iscsi"
)

// proof is how far an initiator has come in authenticating itself, and this
// side's challenge to it.
type proof struct {
	step       proofStep
	done       bool
	algorithm  iscsi.CHAPAlgorithm
	identifier byte
	challenge  []byte
}

// proofStep is what the initiator is expected to send next.
type proofStep uint8

const (
	wantMethod    proofStep = iota // AuthMethod
	wantAlgorithm                  // CHAP_A
	wantResponse                   // CHAP_N and CHAP_R
	wantNothing
)

// authenticate goes on with the security stage after the keys of one request
// were taken (RFC 7143 §12.1).
func (l *login) authenticate(pairs []iscsi.KeyValue) ([]iscsi.KeyValue, error) {
	if err := l.expect(pairs); err != nil {
		return nil, err
	}
	n := l.negotiator
	switch l.proof.step {
	case wantMethod:
		if methods, given := n.Declared(iscsi.KeyAuthMethod); given {
			return l.chooseMethod(methods)
		}
		if l.request.Transit && !l.proof.done {
			return nil, refuse(iscsi.LoginAuthenticationFailure, "the initiator skips authentication")
		}
	case wantAlgorithm:
		if list, given := n.Declared(iscsi.KeyCHAPA); given {
			return l.challenge(list)
		}
	case wantResponse:
		if n.Received(iscsi.KeyCHAPN) || n.Received(iscsi.KeyCHAPR) {
			return l.verify()
		}
	}
	return nil, nil
}

// expect refuses CHAP keys that come before their time.
func (l *login) expect(pairs []iscsi.KeyValue) error {
	for _, kv := range pairs {
		var due proofStep
		switch kv.Key {
		case iscsi.KeyCHAPA:
			due = wantAlgorithm
		case iscsi.KeyCHAPN, iscsi.KeyCHAPR, iscsi.KeyCHAPI, iscsi.KeyCHAPC:
			due = wantResponse
		default:
			continue
		}
		if l.proof.step != due {
			return refuse(iscsi.LoginInitiatorError, "key %s is not due", kv.Key)
		}
	}
	return nil
}

// chooseMethod answers AuthMethod with what the auth group asks for.
func (l *login) chooseMethod(offered string) ([]iscsi.KeyValue, error) {
	method := iscsi.ValueNone
	if l.auth.Kind == AuthCHAP {
		method = iscsi.AuthCHAP
	}
	if !slices.Contains(strings.Split(offered, ","), method) {
		return nil, refuse(iscsi.LoginAuthenticationFailure, "AuthMethod=%.60s is offered, %s is wanted", offered, method)
	}
	if l.proof.step = wantNothing; method == iscsi.AuthCHAP {
		l.proof.step = wantAlgorithm
	}
	return []iscsi.KeyValue{{Key: iscsi.KeyAuthMethod, Value: method}}, nil
}

// challenge chooses the algorithm and challenges the initiator.
func (l *login) challenge(list string) ([]iscsi.KeyValue, error) {
	a, err := iscsi.ChooseCHAP(list)
	if err != nil {
		return nil, refuse(iscsi.LoginAuthenticationFailure, "%v", err)
	}
	random := make([]byte, 1+a.Size)
	_, _ = rand.Read(random) // it never fails
	l.proof.algorithm = a
	l.proof.identifier, l.proof.challenge = random[0], random[1:]
	l.proof.step = wantResponse
	return []iscsi.KeyValue{
		{Key: iscsi.KeyCHAPA, Value: strconv.Itoa(a.ID)},
		{Key: iscsi.KeyCHAPI, Value: strconv.Itoa(int(l.proof.identifier))},
		{Key: iscsi.KeyCHAPC, Value: iscsi.EncodeBinary(l.proof.challenge)},
	}, nil
}

// verify checks the initiator's response and answers its own challenge, if it
// made one. The challenge of this side is good for one response.
func (l *login) verify() ([]iscsi.KeyValue, error) {
	n, p := l.negotiator, &l.proof
	p.step = wantNothing
	name, _ := n.Declared(iscsi.KeyCHAPN)
	value, _ := n.Declared(iscsi.KeyCHAPR)
	response, malformed := iscsi.DecodeBinary(value, p.algorithm.Size)
	user := l.auth.user(name)
	secret := []byte(nil)
	if user != nil {
		secret = user.Secret.Reveal()
	}
	verdict := l.c.server.guesses.judge(time.Now(), l.c.remote.Addr(), func() bool {
		// Names that are not known take the same time as wrong secrets.
		known := p.algorithm.Verify(response, p.identifier, secret, p.challenge)
		return known && user != nil && malformed == nil
	})
	switch verdict {
	case wrong:
		if malformed != nil {
			return nil, refuse(iscsi.LoginAuthenticationFailure, "CHAP_R: %v", malformed)
		}
		return nil, refuse(iscsi.LoginAuthenticationFailure, "CHAP user %.80q: unknown, or the secret is wrong", name)
	case unreadNews:
		l.c.log.Warn("too many wrong CHAP responses from this address: for a while no other is looked at",
			"initiator", l.session.key.initiator, "accepted", l.c.server.limits.WrongCHAP)
		fallthrough
	case unread:
		return nil, refuse(iscsi.LoginServiceUnavailable, "too many wrong CHAP responses from %v", l.c.remote.Addr())
	}
	l.session.user = name
	p.done = true
	if !n.Received(iscsi.KeyCHAPI) && !n.Received(iscsi.KeyCHAPC) {
		return nil, nil
	}
	return l.answerChallenge(user)
}

// answerChallenge authenticates this side to the initiator (mutual CHAP).
func (l *login) answerChallenge(user *User) ([]iscsi.KeyValue, error) {
	if user.MutualName == "" {
		return nil, refuse(iscsi.LoginAuthenticationFailure, "the initiator wants mutual CHAP, user %q has no mutual secret", user.Name)
	}
	i, _ := l.negotiator.Declared(iscsi.KeyCHAPI)
	identifier, err := iscsi.ParseCHAPIdentifier(i)
	if err != nil {
		return nil, refuse(iscsi.LoginInitiatorError, "%v", err)
	}
	value, _ := l.negotiator.Declared(iscsi.KeyCHAPC)
	challenge, err := iscsi.DecodeBinary(value, iscsi.MaxCHAPChallenge)
	if err != nil {
		return nil, refuse(iscsi.LoginInitiatorError, "CHAP_C: %v", err)
	}
	if iscsi.Reflected(l.proof.challenge, challenge) {
		return nil, refuse(iscsi.LoginAuthenticationFailure, "the initiator reflects the challenge")
	}
	answer := l.proof.algorithm.Response(identifier, user.MutualSecret.Reveal(), challenge)
	return []iscsi.KeyValue{
		{Key: iscsi.KeyCHAPN, Value: user.MutualName},
		{Key: iscsi.KeyCHAPR, Value: iscsi.EncodeBinary(answer)},
	}, nil
}
