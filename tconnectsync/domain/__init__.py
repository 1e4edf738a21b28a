"""What happened on the pump, in the field's own terms, free of Tandem's JSON and Nightscout's."""
