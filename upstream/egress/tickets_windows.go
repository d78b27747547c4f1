package egress

import (
	"context"

	"github.com/alexbrainman/sspi"
	ssp "github.com/alexbrainman/sspi/negotiate"
)

// newTickets is where Negotiate gets its tokens: where no file is named, from the account that the service runs as.
func newTickets(p Proxy, creds *breaker) tickets {
	if p.Kerberos.KeytabFile == "" && p.Kerberos.CacheFile == "" && p.PasswordFile == "" {
		return serviceAccount{}
	}
	return newKerberosTickets(p, creds)
}

// serviceAccount asks Windows (SSPI), which may take several legs.
type serviceAccount struct{}

func (serviceAccount) begin(_ context.Context, spn string, _ bool) (*conversation, error) {
	cred, err := ssp.AcquireCurrentUserCredentials()
	if err != nil {
		return nil, err
	}
	return windowsConversation(cred, spn)
}

func windowsConversation(cred *sspi.Credentials, spn string) (*conversation, error) {
	c, token, err := ssp.NewClientContext(cred, spn)
	if err != nil {
		_ = cred.Release()
		return nil, err
	}
	return &conversation{token: token,
		more: func(challenge []byte) ([]byte, error) {
			_, next, err := c.Update(challenge)
			return next, err
		},
		end: func() {
			_ = c.Release()
			_ = cred.Release()
		}}, nil
}
