{{- define "mews-bridge.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "mews-bridge.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains (include "mews-bridge.name" .) .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "mews-bridge.name" .) | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "mews-bridge.ingress" -}}
{{- printf "%s-ingress" (include "mews-bridge.fullname" . | trunc 55 | trimSuffix "-") }}
{{- end }}

{{- define "mews-bridge.selector" -}}
app.kubernetes.io/name: {{ include "mews-bridge.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: ingress
{{- end }}

{{- define "mews-bridge.labels" -}}
{{ include "mews-bridge.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: mews-bridge
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" | quote }}
{{- end }}

{{- define "mews-bridge.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end }}
{{- end }}

{{/* What cannot work is refused here, before anything is rolled out. */}}
{{- define "mews-bridge.validate" -}}
{{- if not (dig "kafka" "bootstrap_servers" "" .Values.config) }}
{{- fail "config.kafka.bootstrap_servers is not set: name the brokers as host:port,host:port" }}
{{- end }}
{{- if not .Values.webhookTokenSecret.name }}
{{- fail "webhookTokenSecret.name is not set: create a Secret whose keys are aliases and whose values are webhook tokens, and name it here" }}
{{- end }}
{{- if and (not .Values.sealingKeySecret.name) (not (dig "credentials" "discard_secrets" false .Values.config)) }}
{{- fail "sealingKeySecret.name is not set: create a Secret with 32 random bytes in hex (openssl rand -hex 32), or set config.credentials.discard_secrets to true" }}
{{- end }}
{{- end }}

{{- define "mews-bridge.refuse-secrets" -}}
{{- if dig "ingress" "tokens" "" .Values.config }}
{{- fail "config.ingress.tokens would put tokens into a ConfigMap: use webhookTokenSecret" }}
{{- end }}
{{- range list "sasl_password" "ssl_key_password" }}
{{- if dig "kafka" "security" . "" $.Values.config }}
{{- fail (printf "config.kafka.security.%s would put a secret into a ConfigMap: use kafkaSecret and %s_file" . .) }}
{{- end }}
{{- end }}
{{- end }}

{{/* The configuration file: what the user gave, and where this chart puts things. */}}
{{- define "mews-bridge.config" -}}
{{- $tokens := dict }}
{{- range .Values.webhookTokenSecret.keys }}{{ $_ := set $tokens . (printf "/secrets/webhook/%s" .) }}{{ end }}
{{- $own := dict
  "ingress" (dict "listen" "0.0.0.0:8080" "token_files" $tokens "max_in_flight_bytes" "64MiB")
  "admin" (dict "listen" "0.0.0.0:9090")
  "journal" (dict "dir" "/var/lib/mews-bridge/journal" "max_bytes" .Values.ingress.journal.maxBytes)
  "shutdown" (dict "timeout" (printf "%ds" (int .Values.ingress.drainTimeoutSeconds)))
  "telemetry" (dict "log_format" "json") }}
{{- if .Values.sealingKeySecret.name }}
{{- $files := list }}
{{- range .Values.sealingKeySecret.keys }}{{ $files = append $files (printf "/secrets/sealing/%s" .) }}{{ end }}
{{- $_ := set $own "credentials" (dict "sealing_key_files" $files) }}
{{- end }}
{{- mergeOverwrite $own (deepCopy .Values.config) | toToml }}
{{- end }}
