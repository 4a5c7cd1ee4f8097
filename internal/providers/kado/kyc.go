package kado

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"

	"rampstream/internal/events"
	"rampstream/internal/providers"
)

// Person is what Kado wants to know of a customer. It is personal data: it
// prints as "[personal data]" and is sent nowhere but to Kado.
type Person struct {
	FirstName   string  `json:"firstName"`
	MiddleName  string  `json:"middleName,omitempty"`
	LastName    string  `json:"lastName"`
	Phone       string  `json:"phone,omitempty"` // E.164; may be empty in InitPartialKYC
	Email       string  `json:"email"`
	Address     Address `json:"address"`
	DateOfBirth string  `json:"dateOfBirth"`   // YYYY-MM-DD
	SSN         string  `json:"ssn,omitempty"` // 9 digits, US only
}

// Address is part of a Person.
type Address struct {
	Street1    string `json:"street1"`
	Street2    string `json:"street2,omitempty"`
	PostalCode string `json:"postalCode"`
	City       string `json:"city"`
	State      string `json:"state,omitempty"` // US only
	Country    string `json:"country"`         // as "US"
}

// String hides the person.
func (Person) String() string { return "[personal data]" }

// GoString hides the person from %#v.
func (Person) GoString() string { return "[personal data]" }

// String hides the address.
func (Address) String() string { return "[personal data]" }

// GoString hides the address from %#v.
func (Address) GoString() string { return "[personal data]" }

// missing names the first required field that is empty.
func (p Person) missing(phone bool) string {
	for _, f := range []struct{ name, value string }{
		{"firstName", p.FirstName}, {"lastName", p.LastName}, {"email", p.Email}, {"dateOfBirth", p.DateOfBirth},
		{"address.street1", p.Address.Street1}, {"address.postalCode", p.Address.PostalCode},
		{"address.city", p.Address.City}, {"address.country", p.Address.Country},
	} {
		if f.value == "" {
			return f.name
		}
	}
	switch {
	case phone && p.Phone == "":
		return "phone"
	case p.Address.Country == "US" && p.Address.State == "":
		return "address.state"
	case p.Address.Country == "US" && p.SSN == "":
		return "ssn"
	}
	return ""
}

// SubmitKYC sends everything known of a customer and returns Kado's userId.
// Not idempotent: do not repeat it blindly.
func (c *Client) SubmitKYC(ctx context.Context, p Person) (userID string, err error) {
	return c.postPerson(ctx, "kado submit kyc", "/v1/partner/kyc/submit", p, true)
}

// InitPartialKYC pre-loads what is known; only the phone may be missing.
func (c *Client) InitPartialKYC(ctx context.Context, p Person) (userID string, err error) {
	return c.postPerson(ctx, "kado init partial kyc", "/v1/partner/kyc/init-partial", p, false)
}

func (c *Client) postPerson(ctx context.Context, op, route string, p Person, phone bool) (string, error) {
	if field := p.missing(phone); field != "" {
		return "", &providers.CallError{Outcome: events.OutcomeRejected, Op: op, Err: errors.New(field + " is missing")}
	}
	body, err := canonicalBody(p)
	if err != nil {
		return "", &providers.CallError{Outcome: events.OutcomeRejected, Op: op, Err: err}
	}
	doc, err := c.do(ctx, request{op: op, method: http.MethodPost, route: route, body: body, signed: true})
	if err != nil {
		return "", err
	}
	id, ok := kycData(doc).Get("userId").Text()
	if !ok || !usableID(id) {
		return "", malformedAnswer(op, http.StatusOK, errors.New("answer has no usable userId"))
	}
	return id, nil
}

// canonicalBody is v as the very bytes that payloadHex hashes, so that every
// reading of the scheme gives one signature.
func canonicalBody(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, errors.New("body cannot be encoded")
	}
	return Canonical(b)
}

// ConfigureWebhook registers the URL and the webhookSecret that Kado signs
// with from then on. Put the secret into webhook.secrets first, as the second:
// deliveries that are under way still carry the old one.
func (c *Client) ConfigureWebhook(ctx context.Context, webhookURL string, secret providers.Secret) error {
	const op = "kado configure webhook"
	u, err := url.Parse(webhookURL)
	switch {
	case err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil:
		err = errors.New("webhookUrl is not an absolute https URL")
	case len(secret) < minSecret:
		err = errors.New("webhookSecret is too short")
	}
	if err != nil {
		return &providers.CallError{Outcome: events.OutcomeRejected, Op: op, Err: err}
	}
	body, err := canonicalBody(map[string]string{"webhookUrl": webhookURL, "webhookSecret": secret.Reveal()})
	if err != nil {
		return &providers.CallError{Outcome: events.OutcomeRejected, Op: op, Err: err}
	}
	_, err = c.do(ctx, request{op: op, method: http.MethodPost, route: "/v1/partner/configure-webhook", body: body, signed: true})
	return err
}

// Documents are the images of one upload. A nil Back or Profile is left out.
type Documents struct {
	Type    string    // license, identificationCard or passport
	Front   io.Reader // required
	Back    io.Reader
	Profile io.Reader
	// MediaType of the images; "" is image/jpeg.
	MediaType string
}

// UploadDocuments streams images to POST /v2/partner/kyc/:userId/upload-docs:
// no image is ever held whole. The scheme leaves them out of the signature, so
// TLS alone protects them. The client's total timeout covers the upload.
func (c *Client) UploadDocuments(ctx context.Context, userID string, d Documents) error {
	const op = "kado upload documents"
	var err error
	switch {
	case !usableID(userID):
		err = errors.New("userId is not usable")
	case d.Type != "license" && d.Type != "identificationCard" && d.Type != "passport":
		err = errors.New("documentType is not license, identificationCard or passport")
	case d.Front == nil:
		err = errors.New("documentFront is missing")
	case d.MediaType != "" && !headerToken(d.MediaType):
		err = errors.New("media type is not usable in a header")
	}
	if err != nil {
		return &providers.CallError{Outcome: events.OutcomeRejected, Op: op, Err: err}
	}
	reader, writer := io.Pipe()
	form := multipart.NewWriter(writer)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = writer.CloseWithError(d.write(form)) // nil is a clean end
	}()
	_, err = c.do(ctx, request{
		op: op, method: http.MethodPost, route: "/v2/partner/kyc/" + userID + "/upload-docs", signed: true,
		stream: reader, streamType: form.FormDataContentType(),
	})
	_ = reader.Close() // a call that ended early must not leave the writer waiting
	<-done
	return err
}

// write fills the form. Part names are the document's; file names are ours,
// because the caller's may name the customer.
func (d Documents) write(form *multipart.Writer) error {
	if err := form.WriteField("documentType", d.Type); err != nil {
		return err
	}
	mediaType := d.MediaType
	if mediaType == "" {
		mediaType = "image/jpeg"
	}
	for _, p := range []struct {
		name    string
		content io.Reader
	}{{"documentFront", d.Front}, {"documentBack", d.Back}, {"profileImage", d.Profile}} {
		if p.content == nil {
			continue
		}
		part, err := form.CreatePart(textproto.MIMEHeader{
			"Content-Disposition": {`form-data; name="` + p.name + `"; filename="` + p.name + `"`},
			"Content-Type":        {mediaType},
		})
		if err != nil {
			return err
		}
		if _, err := io.Copy(part, p.content); err != nil {
			return err
		}
	}
	return form.Close()
}
