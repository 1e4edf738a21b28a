"""What happened on the pump, in the words of the field; knows neither clouds nor sites."""
