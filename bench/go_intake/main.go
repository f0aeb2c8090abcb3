// go_intake - a yardstick: the payment intake as it is usually written in Go, with net/http and franz-go.
//
//	go_intake -listen 127.0.0.1:8082 -kafka 127.0.0.1:9092 -topic pay.requests
//
// The same promise as paybuf's intake, and no more: validate, append idempotently with acks=all to the partition of the order's
// key, answer 202 with the position after the acknowledgement. The record, its headers and the answer are the same bytes in number.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

type payment struct {
	OrderID     string          `json:"order_id"`
	Attempt     int             `json:"attempt"`
	AccountID   string          `json:"account_id"`
	AmountMinor int64           `json:"amount_minor"`
	Currency    string          `json:"currency"`
	Metadata    json.RawMessage `json:"metadata,omitempty"`
}

var (
	identifier = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,64}$`)
	currency   = regexp.MustCompile(`^[A-Z]{3}$`)
)

func (p *payment) valid() bool {
	return identifier.MatchString(p.OrderID) && identifier.MatchString(p.AccountID) && currency.MatchString(p.Currency) &&
		p.Attempt >= 1 && p.Attempt <= 99 && p.AmountMinor >= 1 && p.AmountMinor < 1<<53
}

func main() {
	listen := flag.String("listen", "127.0.0.1:8082", "address")
	kafka := flag.String("kafka", "127.0.0.1:9092", "bootstrap servers")
	topic := flag.String("topic", "pay.requests", "request topic")
	flag.Parse()
	client, err := kgo.NewClient(kgo.SeedBrokers(*kafka), kgo.DefaultProduceTopic(*topic), kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), kgo.ProducerLinger(time.Millisecond),
		kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("/v1/payments", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 8192))
		p := payment{Attempt: 1}
		if err != nil || json.Unmarshal(body, &p) != nil || !p.valid() {
			http.Error(w, "bad payment", http.StatusBadRequest)
			return
		}
		value, _ := json.Marshal(&p)
		accepted := []byte(strconv.FormatInt(time.Now().UnixMilli(), 10))
		record := &kgo.Record{Key: []byte(p.OrderID), Value: value, Headers: []kgo.RecordHeader{
			{Key: "tenant", Value: []byte("default")}, {Key: "accepted-at", Value: accepted}}}
		if err := client.ProduceSync(context.Background(), record).FirstErr(); err != nil {
			http.Error(w, err.Error(), http.StatusGatewayTimeout)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprintf(w, `{"order_id":%q,"attempt":%d,"status":"accepted","position":"1-%d-%d"}`, p.OrderID, p.Attempt,
			record.Partition, record.Offset)
	})
	log.Fatal(http.ListenAndServe(*listen, nil))
}
