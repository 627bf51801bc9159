// Prints the Envoy resources that Cilium's operator makes of a Gateway and its HTTPRoutes.
//
// Of the operator it has the two steps that need no cluster with Cilium: from the objects of the
// Gateway API to Cilium's model, and from there to Envoy's resources. Its input has the objects as
// the API server has them, by kind.
package main

import (
	"encoding/json"
	"log"
	"log/slog"
	"os"

	corev1 "k8s.io/api/core/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/cilium/cilium/operator/pkg/model"
	"github.com/cilium/cilium/operator/pkg/model/ingestion"
	"github.com/cilium/cilium/operator/pkg/model/translation"
	gatewayapi "github.com/cilium/cilium/operator/pkg/model/translation/gateway-api"
)

type input struct {
	Gateway         gatewayv1.Gateway
	HTTPRoutes      []gatewayv1.HTTPRoute
	ReferenceGrants []gatewayv1.ReferenceGrant
	Services        []corev1.Service
}

func main() {
	var in input
	if err := json.NewDecoder(os.Stdin).Decode(&in); err != nil {
		log.Fatal(err)
	}
	source := model.FullyQualifiedResource{
		Name:      in.Gateway.Name,
		Namespace: in.Gateway.Namespace,
		Group:     "gateway.networking.k8s.io",
		Version:   "v1",
		Kind:      "Gateway",
		UID:       string(in.Gateway.UID),
	}
	var listeners []ingestion.ListenerWithContext
	for _, listener := range in.Gateway.Spec.Listeners {
		listeners = append(listeners, ingestion.ListenerWithContext{Listener: listener, Source: source})
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	translated := ingestion.GatewayAPI(log, ingestion.Input{
		Gateway:         in.Gateway,
		HTTPRoutes:      in.HTTPRoutes,
		ReferenceGrants: in.ReferenceGrants,
		Services:        in.Services,
		MergedListeners: listeners,
	})
	// As the operator has it by default.
	config := translation.Config{
		SecretsNamespace: "cilium-secrets",
		IPConfig:         translation.IPConfig{IPv4Enabled: true},
		ListenerConfig:   translation.ListenerConfig{StreamIdleTimeoutSeconds: 300},
		ClusterConfig:    translation.ClusterConfig{IdleTimeoutSeconds: 60},
		RouteConfig:      translation.RouteConfig{HostNameSuffixMatch: true},
		OriginalIPDetectionConfig: translation.OriginalIPDetectionConfig{
			UseRemoteAddress: true,
		},
	}
	translator := gatewayapi.NewTranslator(translation.NewCECTranslator(config), config)
	made, _, _, err := translator.Translate(translated)
	if err != nil {
		fail(log, err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(made.Spec.Resources); err != nil {
		fail(log, err)
	}
}

func fail(log *slog.Logger, err error) {
	log.Error("not translated", "error", err)
	os.Exit(1)
}
