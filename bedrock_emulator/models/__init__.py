"""Operations on models, inference profiles, custom models and provisioned throughput."""
