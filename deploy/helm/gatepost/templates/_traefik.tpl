{{- /* A route: an IngressRoute, or an HTTPRoute of the Gateway API. */ -}}
{{- define "gatepost.route" -}}
{{- $t := .root.Values.traefik -}}
{{- $gateway := eq $t.routes "httpRoute" -}}
{{- $labels := include "gatepost.labels" .root -}}
{{- with .route -}}
---
# {{ .about }}
apiVersion: {{ ternary "gateway.networking.k8s.io/v1" "traefik.io/v1alpha1" $gateway }}
kind: {{ ternary "HTTPRoute" "IngressRoute" $gateway }}
metadata:
  name: {{ .name | quote }}
  namespace: {{ .namespace | quote }}
  labels:
    {{- $labels | nindent 4 }}
spec:
  {{- if $gateway }}
  parentRefs:
    {{- toYaml $t.parentRefs | nindent 4 }}
  hostnames: [{{ .host | quote }}]
  rules:
    - matches:
        {{- toYaml .paths | nindent 8 }}
      {{- with .middleware }}
      filters:
        - type: ExtensionRef
          extensionRef:
            group: traefik.io
            kind: Middleware
            name: {{ . | quote }}
      {{- end }}
      backendRefs:
        - name: {{ .to.name | quote }}
          port: {{ .to.port }}
  {{- else }}
  entryPoints:
    {{- toYaml $t.entryPoints | nindent 4 }}
  routes:
    - kind: Rule
      match: {{ .match | quote }}
      {{- with .middleware }}
      middlewares:
        - name: {{ . | quote }}
      {{- end }}
      services:
        - name: {{ .to.name | quote }}
          port: {{ .to.port }}
  {{- if not (kindIs "invalid" $t.tls) }}
  tls:
    {{- toYaml $t.tls | nindent 4 }}
  {{- end }}
  {{- end }}
{{- end -}}
{{- end -}}

{{- /* The beginning of the names of an application's objects, as `gatepost export kubernetes` has it. */ -}}
{{- define "gatepost.objectName" -}}
{{- $name := regexReplaceAll "[^a-z0-9-]" (lower .name) "-" | trimAll "-" -}}
{{- if not $name -}}
{{- fail (printf "config.applications: no object can be called like %q: use letters or digits of ASCII" .name) -}}
{{- end -}}
{{- printf "gatepost-%s" $name -}}
{{- end -}}

{{- /* Fails where an object of this name is in `taken`. */ -}}
{{- define "gatepost.take" -}}
{{- if hasKey .taken .object -}}
{{- fail (printf "traefik: two %s would both be called %s: rename one of the applications" .what .object) -}}
{{- end -}}
{{- $_ := set .taken .object true -}}
{{- end -}}

{{- /* The header of an application's assertion, if it wants any: the words are those of the outpost. */ -}}
{{- define "gatepost.assertionHeader" -}}
{{- if hasKey . "assertion" -}}
{{- $words := dict "cloudflare" "Cf-Access-Jwt-Assertion" "google" "X-Goog-Iap-Jwt-Assertion" "pomerium" "X-Pomerium-Jwt-Assertion" -}}
{{- $header := default "X-Gatepost-Assertion" (default dict .assertion).header -}}
{{- default $header (get $words (lower $header)) -}}
{{- end -}}
{{- end -}}

{{- /*
The identity headers of an application for which Traefik asks the outpost: the names that the outpost sets,
and a pattern of all that no client may send, which Traefik removes from a request before it adds those of
the outpost's answer. Both have the header of API keys, which no answer has: the application must not get it.
The pattern has the headers of other systems too, whatever `headers.preset` is, except those of
`headers.keep`.
*/ -}}
{{- define "gatepost.identity" -}}
{{- $application := .name -}}
{{- $headers := default dict .headers -}}
{{- $preset := default "gatepost" $headers.preset | lower -}}
{{- $set := list -}}
{{- if eq $preset "gatepost" -}}
{{- $set = list "X-Auth-Username" "X-Auth-Groups" "X-Forwarded-Email" "X-Forwarded-Preferred-Username" "X-Forwarded-User" "X-Forwarded-Groups" -}}
{{- else if eq $preset "authentik" -}}
{{- range list "Username" "Groups" "Entitlements" "Email" "Name" "Uid" "Jwt" "Meta-Jwks" "Meta-Outpost" "Meta-Provider" "Meta-App" "Meta-Version" -}}
{{- $set = append $set (printf "X-Authentik-%s" .) -}}
{{- end -}}
{{- else if ne $preset "none" -}}
{{- fail (printf "config.applications: headers.preset of %v: `%s` is not one of gatepost, authentik, none" .name $preset) -}}
{{- end -}}
{{- $set = concat $set (keys (default dict $headers.set) | sortAlpha) -}}
{{- with include "gatepost.assertionHeader" . -}}
{{- $set = append $set . -}}
{{- end -}}
{{- with .apiKeyHeader -}}
{{- $set = append $set . -}}
{{- end -}}
{{- $tokens := default dict .upstreamTokens -}}
{{- range list $tokens.accessToken $tokens.idToken -}}
{{- if and . (ne "authorization" (lower .)) -}}
{{- $set = append $set . -}}
{{- end -}}
{{- end -}}
{{- /* Traefik compares with a pattern: any sign matches the `-`, since some apps read others as one. */ -}}
{{- $kept := list -}}
{{- range $headers.keep -}}
{{- $kept = append $kept (lower . | replace "-" ".") -}}
{{- end -}}
{{- /* Generated: each header that no client may say. */ -}}
{{- $aliases := list `x[^a-z0-9-]forwarded[\W_]` `x-forwarded[^a-z0-9-]` `x-forwarded-.*[^a-z0-9-]` `x[^a-z0-9-]real[\W_]ip$` `x-real[^a-z0-9-]ip$` -}}
{{- $prefixes := list `x.gatepost.` `remote.` `x.remote.` `x.webauth.` `x.authentik.` `x.auth.request.` `x.authenticated.` `x.vouch.` `x.pomerium.` `x.goog.authenticated.user.` `x.goog.iap.` `x.ms.client.principal.` `x.ms.token.` `x.amzn.oidc.` `x.consumer.` `x.credential.` `cf.access.` `tailscale.user.` `oidc.` -}}
{{- $others := list `X-Forwarded-User` `X-Forwarded-Email` `X-Forwarded-Groups` `X-Forwarded-Preferred-Username` `X-Forwarded-Access-Token` `X-Auth-Username` `X-Auth-Groups` `X-Original-URL` `X-Rewrite-URL` `X-Script-Name` `X-Forwarded-Login` `X-Forwarded-Name` `X-Auth-Roles` `X-Auth-Email` `X-Auth-Name` `X-Auth-Subject` `X-Auth-Userid` `X-Userinfo` `X-Ms-Client-Principal` `Script-Name` `Forwarded` `X-Forwarded-Ssl` `X-Forwarded-Scheme` `X-Forwarded-Protocol` `X-Url-Scheme` `X-Scheme` `Front-End-Https` `Client-Ip` `X-Client-Ip` `X-Cluster-Client-Ip` `X-Original-Host` `Proxy` -}}
{{- $methods := list `X-HTTP-Method-Override` `X-HTTP-Method` `X-Method-Override` -}}
{{- /* End of the generated lines. */ -}}
{{- $families := $aliases -}}
{{- /* A kept name in other spellings than that one, which the proxy in front overwrites. */ -}}
{{- range $kept -}}
{{- $words := splitList "." . -}}
{{- range $at := until (sub (len $words) 1 | int) -}}
{{- $next := add1 $at | int -}}
{{- $families = append $families (printf "%s[^a-z0-9-]%s$" (slice $words 0 $next | join "-") (slice $words $next | join "[^a-z0-9]")) -}}
{{- end -}}
{{- end -}}
{{- range $family := $prefixes -}}
{{- $inside := list -}}
{{- range $kept -}}
{{- if hasPrefix $family . -}}
{{- $inside = append $inside . -}}
{{- end -}}
{{- end -}}
{{- if empty $inside -}}
{{- $families = append $families $family -}}
{{- else if gt (len $inside) 1 -}}
{{- fail (printf "config.applications: headers.keep of %v: Traefik cannot remove the other headers of a family where two are kept (%s)" $application (join ", " $inside)) -}}
{{- else -}}
{{- /* All of the family that are not the kept name: longer, shorter, or another letter somewhere. */ -}}
{{- $kept := first $inside -}}
{{- $begun := $family -}}
{{- $families = append $families (printf "%s." $kept) -}}
{{- range $letter := splitList "" (trimPrefix $family $kept) -}}
{{- $families = append $families (printf "%s$" $begun) -}}
{{- if ne $letter "." -}}
{{- $families = append $families (printf "%s[^%s]" $begun $letter) -}}
{{- end -}}
{{- $begun = printf "%s%s" $begun $letter -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- /* Where rules, public paths or `allowPreflight` ask for methods, no client says another one to the application. */ -}}
{{- $preflights := regexMatch `(?i)^\s*true\s*$` (toString .allowPreflight) -}}
{{- if or $preflights (regexMatch "(?i)methods|[a-z-]=/" (toJson (list .rules .public))) -}}
{{- $others = concat $others $methods -}}
{{- end -}}
{{- $whole := printf "(?i)^(%s)" (join "|" $families) -}}
{{- $exact := list -}}
{{- range concat $set $others -}}
{{- $folded := lower . | replace "-" "." -}}
{{- if not (or (has $folded $kept) (has $folded $exact) (regexMatch $whole .)) -}}
{{- $exact = append $exact $folded -}}
{{- end -}}
{{- end -}}
{{- dict "names" $set "pattern" (printf "(?i)^(%s|(%s)$)" (join "|" $families) (join "|" $exact)) | toYaml -}}
{{- end -}}
